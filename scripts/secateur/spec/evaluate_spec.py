"""The evaluate section."""

from __future__ import annotations

from secateur.spec.fields import OptionalPath, PositiveInt, Section, no_effect, spec_key
from secateur.spec.train_spec import OWN_RESULTS


class EvaluateSpec(Section):
    """The evaluation on test images."""

    dataset_path: OptionalPath = spec_key(None, "folder with a folder of test images per class", "split", place=True)
    model_path: OptionalPath = spec_key(None, "absent or EVALMODEL: the models of this run", "evaluate")
    top_k: PositiveInt = spec_key(
        5, "an answer counts as right if the class is among the k likeliest", "evaluate", "export", "engine"
    )
    batch_size: PositiveInt = spec_key(256, "images per batch")
    n_workers: PositiveInt = spec_key(8, "threads that load images, and cores of the job")
    classmap: OptionalPath = no_effect(None, "split makes the one class map, split/classmap.json")
    trt_engine: OptionalPath = no_effect(None, "the engine of this run is measured when it is built")
    results_dir: OptionalPath = no_effect(None, OWN_RESULTS)
