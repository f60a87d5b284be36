"""A whole experiment: the root of the typed spec, with the specification's names, ranges and defaults.

Each section has a file: data_spec, augment_spec, model_spec, train_spec (retrain too), prune_spec, evaluate_spec,
inference_spec, export_spec. Defaults: docs/decisions/spec-defaults.md.
Fields marked `own addition` are not in the specification.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, PrivateAttr, SecretStr

from secateur.spec.augment_spec import AugmentSpec
from secateur.spec.data_spec import DataSpec
from secateur.spec.evaluate_spec import EvaluateSpec
from secateur.spec.export_spec import ExportSpec, GenTrtEngineSpec
from secateur.spec.fields import OptionalPath, Section, no_effect, spec_key
from secateur.spec.inference_spec import InferenceSpec
from secateur.spec.model_spec import ModelSpec
from secateur.spec.notices import Notice
from secateur.spec.prune_spec import PruneSpec
from secateur.spec.train_spec import RetrainSpec, TrainSpec


def _text(value: Any) -> Any:
    return str(value) if isinstance(value, float) else value


class Spec(Section):
    """A whole experiment."""

    tao: Annotated[Literal["4.0", "5.0", "5.5", "6.0"] | None, BeforeValidator(_text)] = spec_key(
        None, "own addition: the TAO release whose defaults count for absent keys; absent: found by the file's words"
    )
    results_dir: OptionalPath = spec_key(None, "absent: `results/<experiment>`")
    key: SecretStr | None = spec_key(
        None,
        "passphrase: literal, env:NAME or file:PATH; none: files are not encrypted, as absent in files of TF1 and V2",
    )
    data: DataSpec = Field(default_factory=DataSpec, description="where the images are")
    augment: AugmentSpec = Field(default_factory=AugmentSpec, description="augmentation in training")
    model: ModelSpec = Field(default_factory=ModelSpec, description="backbone and input")
    train: TrainSpec = Field(default_factory=TrainSpec, description="the first training")
    prune: PruneSpec | None = Field(None, description="absent: the model is not pruned")
    retrain: RetrainSpec | None = Field(None, description="own addition: as train, from which it inherits")
    evaluate: EvaluateSpec = Field(default_factory=EvaluateSpec, description="evaluation on test images")
    inference: InferenceSpec = Field(default_factory=InferenceSpec, description="labels for a folder of images")
    export: ExportSpec = Field(default_factory=ExportSpec, description="the file for deployment")
    gpu_ids: list[int] | None = no_effect(None, "the scheduler chooses devices")
    mpi_args: Any = no_effect(None, "there is no MPI")
    cuda_blocking: bool | None = no_effect(None, "not needed here")
    multi_node: Any = no_effect(None, "hosts are joined by srun, see docs/clusters.md")
    num_processes: int | None = no_effect(None, "hosts are joined by srun, see docs/clusters.md")
    verbose: bool | None = no_effect(None, "logs are always complete")
    gen_trt_engine: GenTrtEngineSpec | None = Field(None, description="V2: build a TensorRT engine")

    # Whose values, and the values: a copy with other values has its own.
    _plain: tuple[int, dict[str, Any]] = PrivateAttr(default=(0, {}))
    _notices: tuple[Notice, ...] = PrivateAttr(default=())
    _plain_files: bool = PrivateAttr(default=False)
    _places: dict[str, str] = PrivateAttr(default_factory=dict)
    _origins: dict[str, str] = PrivateAttr(default_factory=dict)

    @property
    def notices(self) -> tuple[Notice, ...]:
        """The renamed keys, the keys without effect, and the warnings of the loader."""
        return self._notices

    @property
    def plain_files(self) -> bool:
        """Whether models and exports are not encrypted: the spec has no key, and needs none."""
        return self._plain_files

    def place(self, path: str) -> str:
        """`file:line: key` of a dotted path, in the words of the file."""
        return self._places.get(path, path)

    @property
    def origins(self) -> dict[str, str]:
        """Dotted path -> where the value comes from: a line of the file or a TAO release; absent for a default."""
        return self._origins

    @property
    def plain(self) -> dict[str, Any]:
        """All values as plain data, without the key. Do not change it: the same object is returned again."""
        if self._plain[0] != id(self):
            self._plain = id(self), self.model_dump(mode="json", exclude={"key"})
        return self._plain[1]

    @property
    def prunes(self) -> bool:
        """Whether the run prunes and retrains."""
        return self.prune is not None

    @property
    def wants_engine(self) -> bool:
        """Whether the spec asks for a TensorRT engine."""
        return self.export.engine_file is not None or self.gen_trt_engine is not None

    @property
    def engine_type(self) -> str:
        """The precision of the TensorRT engine."""
        return self.export.engine_data_type or self.exported_type

    @property
    def trained_for_int8(self) -> bool:
        """Whether the training of the final model learns the ranges of its activations."""
        return (self.retrain or self.train).qat

    @property
    def exported_type(self) -> str:
        """The precision of the exported file: `fp32`, `fp16` or `int8`."""
        return self.export.data_type or ("int8" if self.trained_for_int8 else "fp32")
