"""The prune section: what the pruned network must meet, and what is judged by what."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, field_validator, model_validator

from secateur.spec.fields import Folded, OptionalPath, PositiveFloat, PositiveInt, Section

# What a cut can be asked to meet in place of a threshold.
BUDGETS = ("target_macs", "target_params", "target_size_mb", "target_latency_ms")


def _norm_name(value: Any) -> Any:
    return {"max": "max", "l2": "L2"}.get(value.strip().lower(), value) if isinstance(value, str) else value


class PruneSpec(Section):
    """Pruning of whole channels."""

    model_path: OptionalPath = Field(None, description="absent: the model that train made")
    output_path: OptionalPath = Field(None, description="also write the pruned model here")
    normalizer: Annotated[Literal["max", "L2"], BeforeValidator(_norm_name)] = Field("max")
    equalization_criterion: Annotated[Literal["union", "intersection", "arithmetic_mean", "geometric_mean"], Folded] = (
        Field("union")
    )
    granularity: PositiveInt = Field(8, description="kept channels are a multiple of this")
    threshold: Annotated[float, Field(ge=0)] | None = Field(
        0.1, description="channels with a normalised importance above this are kept; not a share"
    )
    target_macs: PositiveFloat | None = Field(
        None, description="own addition, in place of threshold: MACs to keep; up to 1 a share of the model's, else MACs"
    )
    target_params: PositiveFloat | None = Field(
        None, description="own addition, in place of threshold: parameters to keep; up to 1 a share, else a number"
    )
    target_size_mb: PositiveFloat | None = Field(
        None, description="own addition, in place of threshold: size of the exported fp32 ONNX, 1 MB = 1,000,000 bytes"
    )
    target_latency_ms: PositiveFloat | None = Field(
        None,
        description="own addition, in place of threshold: latency of ONNX Runtime, measured on this CPU",
    )
    latency_threads: PositiveInt = Field(1, description="own addition: threads of ONNX Runtime for target_latency_ms")
    latency_batch: PositiveInt = Field(1, description="own addition: images a call for target_latency_ms")
    ranking: Annotated[Literal["layer", "global", "uniform"], Folded] = Field(
        "layer",
        description="own addition: normalise importance within each layer, or over the whole network, or take the same "
        "share of each layer; a threshold is that share then",
    )
    importance: Annotated[Literal["l2", "l1", "bn_scale", "taylor", "random"], Folded] = Field(
        "l2", description="own addition: what a channel is judged by"
    )
    images: PositiveInt = Field(512, description="own addition: training images that taylor and recalibrate_bn look at")
    recalibrate_bn: bool = Field(
        False, description="own addition: measure the batch normalisations' statistics anew after the cut"
    )
    steps: PositiveInt = Field(
        1, description="own addition: reach a target in this many cuts, with a short training after each but the last"
    )
    step_epochs: int = Field(
        1,
        ge=0,
        description="own addition: epochs of each short training, which is as retrain says otherwise; 0: channels are "
        "judged anew after each cut, and nothing is trained",
    )
    random_seed: int = Field(42, ge=0, lt=2**31, description="own addition: of importance random and of `images`")
    min_num_filters: PositiveInt = Field(16, description="never keep fewer than this")
    excluded_layers: list[str] = Field(
        [], description="layers that keep every channel: names, or patterns with * and ?"
    )
    byom_model_path: OptionalPath = Field(None, description="no effect yet")
    results_dir: OptionalPath = Field(None, description="no effect: steps write under the run's results_dir")

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
        """The target key that is given; None when the threshold decides."""
        return next((key for key in BUDGETS if getattr(self, key) is not None), None)

    @property
    def needs_images(self) -> bool:
        """Whether pruning looks at training images."""
        return self.importance == "taylor" or self.recalibrate_bn or self.trains

    @property
    def trains(self) -> bool:
        """Whether there is a short training between two cuts."""
        return self.steps > 1 and self.step_epochs > 0
