"""The typed spec: one model a section, with the specification's names, ranges and defaults.

Defaults are those of the specification's tables where they state one, else of TAO's code: see
docs/decisions/spec-defaults.md.
Fields marked `own addition` are not in the specification.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import (
    BeforeValidator,
    Field,
    PrivateAttr,
    SecretStr,
    field_validator,
    model_validator,
)

from secateur.spec.architectures import BYOM, canonical_arch
from secateur.spec.export_spec import ExportSpec, GenTrtEngineSpec
from secateur.spec.fields import (
    Bytes,
    Folded,
    Fraction,
    OptionalPath,
    PositiveFloat,
    PositiveInt,
    Section,
    Share,
    empty_to_none,
    listed,
)
from secateur.spec.notices import Notice
from secateur.spec.prune_spec import PruneSpec

MIN_IMAGE_SIDE = 16  # the specification: X, Y >= 16
MAX_IMAGE_SIDE = 16384


class SplitSpec(Section):
    """Own addition: how images of `data.source` are dealt out."""

    train: Share = Field(0.7, description="share of images for training")
    val: Share = Field(0.1, description="share for validation")
    test: Share = Field(0.2, description="share for the final test")
    seed: int = Field(42, ge=0, description="another seed deals differently")

    @model_validator(mode="after")
    def _adds_up(self) -> Self:
        if abs(self.train + self.val + self.test - 1) > 1e-6:
            raise ValueError(f"train + val + test must be 1, not {self.train + self.val + self.test:g}")
        if not (self.train and self.val):
            raise ValueError("train and val need a share above 0")
        return self


class DataSpec(Section):
    """Where the images are and how pixels become network input."""

    train_dataset_path: OptionalPath = Field(None, description="root of the training class folders")
    val_dataset_path: OptionalPath = Field(None, description="root of the validation class folders")
    preprocess_mode: Annotated[Literal["caffe", "torch", "tf"], Folded] = Field("torch", description="pixel scaling")
    image_mean: list[float] | None = Field(None, description="mean in BGR order; caffe mode only")
    num_classes: int | None = Field(None, ge=2, description="checked against the folders when given")
    source: OptionalPath = Field(
        None,
        description="own addition: images that are to be split: class folders; train, val and test folders; a table "
        "(.csv, .parquet); Pascal VOC; a zip or tar; path or URL",
    )
    split: SplitSpec = Field(default_factory=SplitSpec, description="own addition: shares of `source`")
    on_corrupt: Annotated[Literal["fail", "skip"], Folded] = Field(
        "fail", description="own addition: what to do about image files that cannot be read"
    )
    multi_label: Annotated[Literal["first", "largest", "drop"], Folded] = Field(
        "first",
        description="own addition: the class of a Pascal VOC image that shows several: of the first object, of the "
        "largest box, or the image is left out",
    )
    group: Annotated[Literal["none", "folder", "similar"], Folded] = Field(
        "none",
        description="own addition: images that stay in one split besides a table's `group`: of one folder below a "
        "class folder, or that look alike",
    )
    cache: Annotated[Literal["auto", "always", "never"] | Bytes, Folded] = Field(
        "auto",
        description="own addition: keep decoded images in a file; auto where it fits half of the memory and of the "
        "disk's room, or a limit such as `20 GB`",
    )
    sampling: Annotated[Literal["natural", "balanced"], Folded] = Field(
        "natural", description="own addition: balanced trains on every class equally often"
    )

    @field_validator("image_mean")
    @classmethod
    def _one_or_three_means(cls, means: list[float] | None) -> list[float] | None:
        if means is not None and len(means) not in (0, 1, 3):
            raise ValueError(f"image_mean needs 3 values (BGR) or 1 (gray), not {len(means)}")
        return means or None


class AugmentSpec(Section):
    """Augmentation while training; the centre crop is for validation, evaluation and inference."""

    enable_random_crop: bool = Field(True, description="random crop while training")
    enable_center_crop: bool = Field(True, description="centre crop outside training")
    enable_color_augmentation: bool = Field(True, description="hue, saturation and contrast while training")
    disable_horizontal_flip: bool = Field(False, description="no random mirroring")
    mixup_alpha: Fraction = Field(0.2, description="Beta parameter of mixup; 0 turns it off")


class ModelSpec(Section):
    """The backbone and its input."""

    arch: str = Field(
        "efficientnet-b0",
        description="backbone: resnet_10, _18, _34, _50, _101, _152, efficientnet-b0 to -b7, vgg_16, _19, "
        "mobilenet_v1, _v2, googlenet, squeezenet, darknet_19, _53, cspdarknet_19, _53, _tiny, alexnet; "
        "byom for byom_model",
    )
    n_layers: int | None = Field(None, description="depth, for specs that write `arch: resnet`")
    input_image_size: tuple[int, int, int] = Field((3, 224, 224), description="channels, height, width")
    input_image_depth: Literal[8, 16] = Field(8, description="bits a channel")
    resize_interpolation_method: Annotated[Literal["bilinear", "bicubic"], Folded] = Field(
        "bilinear", description="resampling"
    )
    use_pooling: bool = Field(False, description="max pooling in place of strided convolutions")
    use_batch_norm: bool = Field(False, description="batch normalisation layers")
    use_bias: bool = Field(False, description="biases in convolutions")
    all_projections: bool = Field(False, description="a projection on every shortcut")
    freeze_blocks: list[int] | None = Field(None, description="blocks whose convolutions do not train")
    freeze_bn: bool = Field(False, description="batch normalisation keeps its statistics, scale and offset")
    retain_head: bool = Field(False, description="the head of the ImageNet network")
    dropout: Fraction = Field(0.0, description="dropout rate of VGG and SqueezeNet")
    activation_type: Annotated[
        Literal["relu", "relu6", "swish", "leaky_relu", "elu", "mish"] | None, Folded, BeforeValidator(empty_to_none)
    ] = Field(None, description="activation in place of the backbone's own")
    padding: Annotated[Literal["same", "symmetric"] | None, Folded] = Field(
        None,
        description="own addition, ResNet and MobileNet: how strided windows pad; weights of keras.applications need "
        "symmetric for ResNet and same for MobileNet",
    )
    byom_model: OptionalPath = Field(None, description="arch byom: the user's own model, .tltb or .keras")

    @field_validator("input_image_size", mode="before")
    @classmethod
    def _size_from_text(cls, size: Any) -> Any:
        return size.split(",") if isinstance(size, str) else size

    @field_validator("input_image_size")
    @classmethod
    def _size_in_range(cls, size: tuple[int, int, int]) -> tuple[int, int, int]:
        channels, height, width = size
        if channels not in (1, 3):
            raise ValueError(f"channels must be 1 or 3, not {channels}")
        if min(height, width) < MIN_IMAGE_SIDE or max(height, width) > MAX_IMAGE_SIDE:
            raise ValueError(f"height and width must be {MIN_IMAGE_SIDE} to {MAX_IMAGE_SIDE}, not {height}x{width}")
        return size

    @model_validator(mode="before")
    @classmethod
    def _canonical_arch(cls, values: Any) -> Any:
        if not isinstance(values, dict) or not isinstance(values.get("arch", ""), str):
            return values
        depth = values.get("n_layers")
        arch = values.get("arch", cls.model_fields["arch"].default)
        return {**values, "arch": canonical_arch(arch, depth if isinstance(depth, int) else None)}

    @model_validator(mode="after")
    def _byom_has_a_model(self) -> Self:
        if (self.arch == BYOM) != (self.byom_model is not None):
            raise ValueError("`arch: byom` and `byom_model: FILE` belong together; write both or neither")
        return self

    @model_validator(mode="after")
    def _sixteen_bit_is_gray(self) -> Self:
        if self.input_image_depth == 16 and self.input_image_size[0] != 1:
            raise ValueError("input_image_depth 16 needs input_image_size with 1 channel")
        return self


class LrConfig(Section):
    """Learning rate over the progress of training, 0 to 1."""

    scheduler: Annotated[Literal["step", "soft_anneal", "cosine"], Folded] = Field("cosine")
    learning_rate: float = Field(0.05, gt=0, description="base (largest) rate; multiplied by the number of devices")
    soft_start: Fraction = Field(0.05, description="progress at which the base rate is reached")
    min_lr_ratio: Fraction = Field(3e-5, description="cosine: last rate over base rate")
    annealing_points: list[Share] = Field([0.33, 0.66, 0.88], description="soft_anneal: progress of each drop")
    annealing_divider: float = Field(10.0, gt=1, description="soft_anneal: divisor at each drop")
    step_size: int = Field(10, ge=1, lt=100, description="step: percent of training between drops")
    gamma: float = Field(0.1, gt=0, le=1, description="step: factor at each drop")

    @model_validator(mode="after")
    def _points_in_order(self) -> Self:
        points = self.annealing_points
        if points != sorted(set(points)):
            raise ValueError(f"annealing_points must ascend, not {points}")
        if self.scheduler == "soft_anneal" and points and self.soft_start >= points[0]:
            raise ValueError(f"soft_start {self.soft_start} must be below the first annealing point {points[0]}")
        return self


class RegConfig(Section):
    """Penalty on kernels of the layers in scope; biases and batch normalisation never."""

    type: Annotated[Literal["l1", "l2", "none"], Folded] = Field("l2")
    scope: Annotated[list[Annotated[Literal["conv2d", "dense"], Folded]], BeforeValidator(listed)] = Field(
        ["conv2d", "dense"]
    )
    weight_decay: Fraction = Field(1.5e-5, description="factor of the penalty")


class OptimConfig(Section):
    """The optimizer; parameters that it does not have are not used."""

    optimizer: Annotated[Literal["sgd", "adam", "rmsprop"], Folded] = Field("sgd")
    lr: float = Field(0.01, description="no effect, as the specification says: the scheduler sets the rate")
    decay: float = Field(0.0, description="no effect, as the specification says")
    momentum: Fraction = Field(0.9, description="sgd")
    nesterov: bool = Field(False, description="sgd")
    beta_1: Fraction = Field(0.9, description="adam")
    beta_2: Fraction = Field(0.999, description="adam")
    epsilon: float = Field(1e-7, gt=0, description="adam, rmsprop")
    rho: Fraction = Field(0.5, description="rmsprop")


class BnConfig(Section):
    """Overrides every batch normalisation layer."""

    momentum: Share = Field(0.9)
    epsilon: float = Field(1e-5, gt=0)


class MlflowSpec(Section):
    """Own addition: curves and figures of the training for MLflow."""

    tracking_uri: str | None = Field(None, description="absent: the environment's MLFLOW_TRACKING_URI")
    experiment: str = Field("secateur")
    run_name: str | None = Field(None, description="absent: the experiment's name and the step")
    tags: dict[str, str] = Field({})


class WandbSpec(Section):
    """Curves and figures of the training for Weights & Biases; the API key is the environment's WANDB_API_KEY."""

    project: str = Field("secateur")
    entity: str | None = Field(None, description="team or user; absent: the account's own")
    name: str | None = Field(None, description="absent: the experiment's name and the step")
    tags: list[str] = Field([])
    reinit: bool = Field(False, description="no effect: each training has a run of its own")
    sync_tensorboard: bool = Field(False, description="no effect: the same curves are sent")
    save_code: bool = Field(False, description="no effect: code is not sent")
    run_id: str | None = Field(None, description="no effect: a training that goes on keeps its run")


class ClearmlSpec(Section):
    """Curves and figures of the training for ClearML; its server is that of clearml.conf or the environment."""

    project: str = Field("secateur")
    task: str | None = Field(None, description="absent: the experiment's name and the step")
    tags: list[str] = Field([])
    deferred_init: bool = Field(False, description="no effect: the training never waits for ClearML")
    reuse_last_task_id: bool = Field(False, description="no effect: each training has a task of its own")
    continue_last_task: bool = Field(False, description="no effect: a training that goes on keeps its task")


# Keys of a train section that choose where its curves go.
TRACKERS: dict[str, type[Section]] = {"mlflow": MlflowSpec, "wandb": WandbSpec, "clearml": ClearmlSpec}


class TrainSpec(Section):
    """The trainer."""

    pretrained_model_path: OptionalPath = Field(None, description="model whose weights to start from")
    batch_size_per_gpu: PositiveInt = Field(32, description="images a batch and device: a batch has this times `gpus`")
    gpus: PositiveInt = Field(
        1, description="own addition: devices of one training; batch and learning rate are multiplied by it"
    )
    num_epochs: PositiveInt = Field(120)
    checkpoint_interval: PositiveInt = Field(1, description="epochs between checkpoints")
    checkpoint_minutes: PositiveFloat = Field(
        10.0, description="minutes after which a checkpoint is written within a long epoch (own addition)"
    )
    validation_interval: PositiveInt = Field(1, description="epochs between validations (V2)")
    n_workers: PositiveInt = Field(10, description="threads that load images")
    random_seed: int = Field(42, ge=0, lt=2**31)
    label_smoothing: Fraction = Field(0.1)
    class_weights: Annotated[Literal["none", "balanced"] | dict[str, PositiveFloat], Folded] = Field(
        "none", description="own addition: what an image counts in the loss; balanced, or a number a class (others 1)"
    )
    qat: bool = Field(False, description="quantisation-aware training: the network learns to be exported as int8")
    lr_config: LrConfig = Field(default_factory=LrConfig)
    reg_config: RegConfig = Field(default_factory=RegConfig)
    optim_config: OptimConfig = Field(default_factory=OptimConfig)
    bn_config: BnConfig | None = Field(None, description="absent: momentum 0.9, and the backbone's own epsilon")
    mlflow: MlflowSpec | None = Field(None, description="absent: nothing is sent")
    wandb: WandbSpec | None = Field(None, description="absent: nothing is sent")
    clearml: ClearmlSpec | None = Field(None, description="absent: nothing is sent")
    results_dir: OptionalPath = Field(None, description="no effect: steps write under the run's results_dir")

    @property
    def batch_size(self) -> int:
        """Images in a batch of all devices together."""
        return self.batch_size_per_gpu * self.gpus


class DistillSpec(Section):
    """Own addition: retraining with the unpruned model as teacher (Hinton et al., arXiv:1503.02531)."""

    alpha: float = Field(0.5, gt=0, le=1, description="share of the teacher in the loss")
    temperature: float = Field(4.0, gt=0, description="softens the answers of both; 1 leaves them as they are")


class RetrainSpec(TrainSpec):
    """The trainer of the pruned network."""

    distill: DistillSpec | None = Field(None, description="absent: no teacher")


class EvaluateSpec(Section):
    """The standalone evaluation."""

    dataset_path: OptionalPath = Field(None, description="root of the test class folders")
    model_path: OptionalPath = Field(None, description="absent or EVALMODEL: this run's models")
    top_k: PositiveInt = Field(5)
    batch_size: PositiveInt = Field(256)
    n_workers: PositiveInt = Field(8)
    classmap: OptionalPath = Field(None, description="no effect: split makes the one class map")
    trt_engine: OptionalPath = Field(None, description="no effect yet")
    results_dir: OptionalPath = Field(None, description="no effect: steps write under the run's results_dir")


class InferenceSpec(Section):
    """Labels for a folder of images."""

    model_path: OptionalPath = Field(None, description="absent or EVALMODEL: the final model")
    image_dir: OptionalPath = Field(None, description="folder of images, walked with its subfolders")
    classmap: OptionalPath = Field(None, description="absent: the class map of split")
    trt_engine: OptionalPath = Field(None, description="no effect yet")
    results_dir: OptionalPath = Field(None, description="no effect: steps write under the run's results_dir")


class Spec(Section):
    """A whole experiment."""

    results_dir: OptionalPath = Field(None, description="absent: `results/<experiment>`")
    key: SecretStr | None = Field(None, description="pass phrase: literal, env:NAME or file:PATH")
    data: DataSpec = Field(default_factory=DataSpec)
    augment: AugmentSpec = Field(default_factory=AugmentSpec)
    model: ModelSpec = Field(default_factory=ModelSpec)
    train: TrainSpec = Field(default_factory=TrainSpec)
    prune: PruneSpec | None = Field(None, description="absent: the model is not pruned")
    retrain: RetrainSpec | None = Field(None, description="own addition: as train, from which it inherits")
    evaluate: EvaluateSpec = Field(default_factory=EvaluateSpec)
    inference: InferenceSpec = Field(default_factory=InferenceSpec)
    export: ExportSpec = Field(default_factory=ExportSpec)
    gpu_ids: list[int] | None = Field(None, description="no effect: devices are given by the scheduler")
    mpi_args: Any = Field(None, description="no effect: there is no MPI")
    cuda_blocking: bool | None = Field(None, description="no effect")
    multi_node: Any = Field(None, description="no effect")
    num_processes: int | None = Field(None, description="no effect")
    verbose: bool | None = Field(None, description="no effect")
    gen_trt_engine: GenTrtEngineSpec | None = Field(None, description="V2: a TensorRT engine is to be built")

    _notices: tuple[Notice, ...] = PrivateAttr(default=())

    @property
    def notices(self) -> tuple[Notice, ...]:
        """What the loader renamed, what has no effect, and what deserves a warning."""
        return self._notices

    @property
    def prunes(self) -> bool:
        """Whether the run prunes and retrains."""
        return self.prune is not None

    @property
    def wants_engine(self) -> bool:
        """Whether a TensorRT engine is asked for."""
        return self.export.engine_file is not None or self.gen_trt_engine is not None

    @property
    def engine_type(self) -> str:
        """The precision of the TensorRT engine."""
        return self.export.engine_data_type or self.exported_type

    @property
    def trained_for_int8(self) -> bool:
        """Whether the final model knows the ranges of its activations from training."""
        return (self.retrain or self.train).qat

    @property
    def exported_type(self) -> str:
        """The precision of the exported file: `fp32`, `fp16` or `int8`."""
        return self.export.data_type or ("int8" if self.trained_for_int8 else "fp32")
