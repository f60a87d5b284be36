"""The prune section: the target of pruning and the measure of importance."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, field_validator, model_validator

from secateur.spec.fields import (
    Folded,
    OptionalPath,
    PositiveFloat,
    PositiveInt,
    Section,
    no_effect,
    output_file,
    spec_key,
)
from secateur.spec.train_spec import OWN_RESULTS

# Targets that a cut can have instead of a threshold.
BUDGETS = ("target_macs", "target_params", "target_size_mb", "target_latency_ms")


def _norm_name(value: Any) -> Any:
    return {"max": "max", "l2": "L2"}.get(value.strip().lower(), value) if isinstance(value, str) else value


class PruneSpec(Section):
    """Pruning of whole channels."""

    model_path: OptionalPath = spec_key(None, "absent: the model that train made", "prune")
    output_path: Annotated[OptionalPath, output_file(".tlt", ".keras", ".hdf5")] = spec_key(
        None, "also write the pruned model here", "prune"
    )
    normalizer: Annotated[Literal["max", "L2"], BeforeValidator(_norm_name)] = spec_key(
        "max", "what the importance of the channels of a layer is divided by: the largest, or their L2 norm", "prune"
    )
    equalization_criterion: Annotated[Literal["union", "intersection", "arithmetic_mean", "geometric_mean"], Folded] = (
        spec_key(
            "union",
            "which importance counts for layers that must keep the same channels: the largest, the smallest, a mean",
            "prune",
        )
    )
    granularity: PositiveInt = spec_key(8, "the number of kept channels is a multiple of this", "prune")
    threshold: Annotated[float, Field(ge=0)] | None = spec_key(
        0.1, "channels with a normalised importance above this are kept; not a share", "prune"
    )
    target_macs: PositiveFloat | None = spec_key(
        None, "own addition, instead of threshold: MACs to keep; a value up to 1 is a share of the model's", "prune"
    )
    target_params: PositiveFloat | None = spec_key(
        None, "own addition, instead of threshold: parameters to keep; a value up to 1 is a share", "prune"
    )
    target_size_mb: PositiveFloat | None = spec_key(
        None, "own addition, instead of threshold: size of the exported fp32 ONNX, 1 MB = 1,000,000 bytes", "prune"
    )
    target_latency_ms: PositiveFloat | None = spec_key(
        None, "own addition, instead of threshold: latency of ONNX Runtime, measured on this CPU", "prune"
    )
    latency_threads: PositiveInt = spec_key(
        1, "own addition: threads of ONNX Runtime for target_latency_ms and for a sweep", "prune", "pareto"
    )
    latency_batch: PositiveInt = spec_key(
        1, "own addition: images per call for target_latency_ms and for a sweep", "prune", "pareto"
    )
    ranking: Annotated[Literal["layer", "global", "uniform"], Folded] = spec_key(
        "layer",
        "own addition: layer normalises importance within each layer, global over the whole network; uniform removes "
        "the same share of each layer, and threshold is that share",
        "prune",
    )
    importance: Annotated[Literal["l2", "l1", "bn_scale", "taylor", "random"], Folded] = spec_key(
        "l2", "own addition: how the importance of a channel is measured", "prune"
    )
    images: PositiveInt = spec_key(512, "own addition: training images for taylor and recalibrate_bn", "prune")
    recalibrate_bn: bool = spec_key(
        False, "own addition: measure the statistics of batch normalisation again after the cut", "prune"
    )
    steps: PositiveInt = spec_key(
        1, "own addition: number of cuts to reach a target, with a short training between two cuts", "prune"
    )
    step_epochs: int = spec_key(
        1,
        "own addition: epochs between cuts, other settings from retrain; 0 only measures the importance again",
        "prune",
        ge=0,
    )
    random_seed: int = spec_key(
        42, "own addition: seed of importance random and of the choice of `images`", "prune", ge=0, lt=2**31
    )
    min_num_filters: PositiveInt = spec_key(16, "a layer never keeps fewer channels than this", "prune")
    excluded_layers: list[str] = spec_key(
        [], "layers that keep every channel: names, or patterns with * and ?", "prune"
    )
    byom_model_path: OptionalPath = no_effect(None, "a pruned model is read from its own file")
    results_dir: OptionalPath = no_effect(None, OWN_RESULTS)

    @field_validator("excluded_layers", mode="before")
    @classmethod
    def _none_is_empty(cls, layers: Any) -> Any:
        return [] if layers is None else layers

    @model_validator(mode="before")
    @classmethod
    def _a_target_leaves_no_default(cls, values: Any) -> Any:
        targets = isinstance(values, dict) and any(values.get(key) is not None for key in BUDGETS)
        return {"threshold": None, **values} if targets else values

    @model_validator(mode="after")
    def _one_goal(self) -> Self:
        given = [key for key in ("threshold", *BUDGETS) if getattr(self, key) is not None]
        if len(given) > 1:
            raise ValueError(f"write only one of {', '.join(given)}")
        if self.threshold is None and self.budget is None:
            raise ValueError(f"write threshold or one of {', '.join(BUDGETS)}")
        if self.steps > 1 and self.budget is None:
            raise ValueError(f"steps: {self.steps} needs one of {', '.join(BUDGETS)}")
        return self

    @property
    def budget(self) -> str | None:
        """The target key that is set; None if the threshold decides."""
        return next((key for key in BUDGETS if getattr(self, key) is not None), None)

    @property
    def needs_images(self) -> bool:
        """Whether pruning needs training images."""
        return self.importance == "taylor" or self.recalibrate_bn or self.trains

    @property
    def trains(self) -> bool:
        """Whether there is a short training between cuts."""
        return self.steps > 1 and self.step_epochs > 0
