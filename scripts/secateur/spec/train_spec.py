"""The train and retrain sections: the trainer, its schedule, optimizer and penalties."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from secateur.spec.fields import (
    Folded,
    Fraction,
    OptionalPath,
    PositiveFloat,
    PositiveInt,
    Section,
    Share,
    listed,
    no_effect,
    numbers,
    spec_key,
)
from secateur.spec.tracker_specs import ClearmlSpec, MlflowSpec, WandbSpec

SCHEDULER_SETS_THE_RATE = "the scheduler sets the learning rate"
OWN_RESULTS = "steps write under the run's results_dir"


class LrConfig(Section):
    """Learning rate over the progress of training, 0 to 1."""

    scheduler: Annotated[Literal["step", "soft_anneal", "cosine"], Folded] = spec_key(
        "cosine", "course of the learning rate", "training"
    )
    learning_rate: float = spec_key(0.05, "base (largest) rate; multiplied by the number of devices", "training", gt=0)
    soft_start: Share = spec_key(0.05, "progress at which the base rate is reached", "training")
    min_lr_ratio: Share = spec_key(3e-5, "cosine: last rate divided by base rate", "training")
    annealing_points: Annotated[list[Share], BeforeValidator(numbers)] = spec_key(
        [0.33, 0.66, 0.88], "soft_anneal: progress of each drop", "training"
    )
    annealing_divider: float = spec_key(10.0, "soft_anneal: divisor at each drop", "training", ge=1)
    step_size: int = spec_key(10, "step: percent of the training between drops", "training", ge=0, le=100)
    gamma: float = spec_key(0.1, "step: factor at each drop", "training", ge=0, le=1)
    compat: Annotated[Literal["documented", "tao"], Folded] = spec_key(
        "documented",
        "own addition; tao: the rates of TAO's code: step falls continuously, cosine does not count soft_start, "
        "soft_anneal starts at 3e-4, and optim_config.decay acts",
        "training",
    )

    @model_validator(mode="after")
    def _points_in_order(self) -> Self:
        if self.scheduler == "step" and not self.step_size:
            raise ValueError("step_size must be 1 to 100, not 0")
        points = self.annealing_points
        if points != sorted(set(points)):
            raise ValueError(f"annealing_points must ascend, not {points}")
        if self.scheduler == "soft_anneal" and points and self.soft_start >= points[0]:
            raise ValueError(f"soft_start {self.soft_start} must be below the first annealing point {points[0]}")
        return self


class RegConfig(Section):
    """Penalty on kernels of the layers in scope; never on biases and batch normalisation."""

    type: Annotated[Literal["l1", "l2", "none"], Folded] = spec_key("l2", "penalty on the weights", "training")
    scope: Annotated[list[Annotated[Literal["conv2d", "dense"], Folded]], BeforeValidator(listed)] = spec_key(
        ["conv2d", "dense"], "kinds of layers that get the penalty", "training"
    )
    weight_decay: Fraction = spec_key(1.5e-5, "factor of the penalty", "training")


class OptimConfig(Section):
    """The optimizer; it ignores parameters that it does not have."""

    optimizer: Annotated[Literal["sgd", "adam", "rmsprop"], Folded] = spec_key("sgd", "kind of optimizer", "training")
    lr: float = no_effect(0.01, SCHEDULER_SETS_THE_RATE)
    decay: float = spec_key(
        0.0, "lr_config.compat tao: the rate is divided by 1 + decay x batches; else no effect", "training", ge=0
    )
    momentum: Fraction = spec_key(0.9, "sgd: momentum", "training")
    nesterov: bool = spec_key(False, "sgd: Nesterov momentum", "training")
    beta_1: Fraction = spec_key(0.9, "adam: decay of the first moment", "training")
    beta_2: Fraction = spec_key(0.999, "adam: decay of the second moment", "training")
    epsilon: float = spec_key(1e-7, "adam, rmsprop: added to the divisor", "training", gt=0)
    rho: Fraction = spec_key(0.5, "rmsprop: decay of the mean square", "training")


class BnConfig(Section):
    """Overrides every batch normalisation layer."""

    momentum: Share = spec_key(0.9, "momentum of the running statistics", "training")
    epsilon: float = spec_key(1e-5, "added to the variance", "training", ge=0)


class TrainSpec(Section):
    """The trainer."""

    pretrained_model_path: OptionalPath = spec_key(None, "model whose weights the training starts from", "training")
    batch_size_per_gpu: PositiveInt = spec_key(
        32, "images per batch and device: a batch has this times `gpus`", "training"
    )
    gpus: PositiveInt = spec_key(
        1, "own addition: devices of one training; batch and learning rate are multiplied by it", "training"
    )
    num_epochs: PositiveInt = spec_key(120, "passes over the training images", "training")
    extend: Annotated[Literal["same_rates", "warm_restart"], Folded] = spec_key(
        "same_rates",
        "own addition: a finished training with num_epochs raised goes on if its epochs have the same learning rates, "
        "else starts from epoch 1; warm_restart: always goes on, and the schedule runs again over the new epochs",
    )
    checkpoint_interval: PositiveInt = spec_key(1, "epochs between checkpoints")
    checkpoint_minutes: PositiveFloat = spec_key(10.0, "own addition: minutes between checkpoints within a long epoch")
    validation_interval: PositiveInt = spec_key(1, "epochs between validations (V2)", "training")
    n_workers: PositiveInt = spec_key(10, "threads that load images, and cores of the job")
    random_seed: int = spec_key(
        42, "another seed gives other first weights, order and augmentation", "training", ge=0, lt=2**31
    )
    label_smoothing: Share = spec_key(0.1, "share of each label that is spread over all classes", "training")
    class_weights: Annotated[Literal["none", "balanced"] | dict[str, PositiveFloat], Folded] = spec_key(
        "none",
        "own addition: loss weight per class: none, balanced, or {class: weight}; classes not listed get 1",
        "training",
    )
    qat: bool = spec_key(False, "quantisation-aware training: the network learns to be exported as int8", "training")
    lr_config: LrConfig = Field(default_factory=LrConfig, description="learning rate")
    reg_config: RegConfig = Field(default_factory=RegConfig, description="penalty on weights")
    optim_config: OptimConfig = Field(default_factory=OptimConfig, description="optimizer")
    bn_config: BnConfig | None = Field(None, description="absent: momentum 0.9, and the backbone's own epsilon")
    mlflow: MlflowSpec | None = Field(None, description="absent: nothing is sent")
    wandb: WandbSpec | None = Field(None, description="absent: nothing is sent")
    clearml: ClearmlSpec | None = Field(None, description="absent: nothing is sent")
    results_dir: OptionalPath = no_effect(None, OWN_RESULTS)

    @property
    def batch_size(self) -> int:
        """The number of images in a batch of all devices together."""
        return self.batch_size_per_gpu * self.gpus


class DistillSpec(Section):
    """Own addition: retraining with the unpruned model as teacher (Hinton et al., arXiv:1503.02531)."""

    alpha: float = spec_key(0.5, "share of the teacher in the loss", "training", gt=0, le=1)
    temperature: float = spec_key(
        4.0, "softens the answers of teacher and student; 1 leaves them unchanged", "training", gt=0
    )


class RetrainSpec(TrainSpec):
    """The trainer of the pruned network."""

    distill: DistillSpec | None = Field(None, description="own addition; absent: no teacher")
