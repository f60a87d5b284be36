"""The inference section."""

from __future__ import annotations

from secateur.spec.fields import OptionalPath, Section, no_effect, spec_key
from secateur.spec.train_spec import OWN_RESULTS


class InferenceSpec(Section):
    """Labels for a folder of images."""

    model_path: OptionalPath = spec_key(None, "absent or EVALMODEL: the final model", "inference")
    image_dir: OptionalPath = spec_key(None, "folder of images, with its subfolders", "inference", place=True)
    classmap: OptionalPath = spec_key(None, "absent: the class map of split", "inference")
    trt_engine: OptionalPath = no_effect(None, "inference uses the model itself")
    results_dir: OptionalPath = no_effect(None, OWN_RESULTS)
