"""The options of a TensorRT engine in a spec, in the words of V1 (`export`) or V2 (`gen_trt_engine`)."""

from __future__ import annotations

from dataclasses import dataclass

from secateur.export.exported_files import Exported, exported_files
from secateur.spec import Spec

# TAO's defaults, except the largest batch, which is 1 in TAO: docs/decisions/tensorrt.md.
WORKSPACE_GB, SMALLEST_BATCH, BEST_BATCH, LARGEST_BATCH = 2.0, 1, 1, 8


@dataclass(frozen=True)
class EngineOptions:
    """The options of one engine.

    Attributes:
        data_type: `fp32`, `fp16` or `int8`.
        workspace_gb: memory that the builder may use.
        batches: smallest, best and largest batch.
        image: shape of one input image.
    """

    data_type: str
    workspace_gb: float
    batches: tuple[int, int, int]
    image: tuple[int, int, int]

    @property
    def workspace_mib(self) -> int:
        """The memory of the builder in MiB."""
        return round(self.workspace_gb * 1024)

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The `min`, `opt` and `max` shape of the input."""
        return {word: (batch, *self.image) for word, batch in zip(("min", "opt", "max"), self.batches, strict=True)}


def engine_options(spec: Spec) -> EngineOptions:
    """The options of a spec. Batches that the spec does not set are chosen to fit the others."""
    section = spec.export
    smallest = section.min_batch_size or SMALLEST_BATCH
    best = max(section.opt_batch_size or BEST_BATCH, smallest)
    largest = section.max_batch_size or max(LARGEST_BATCH, best)
    channels, height, width = spec.model.input_image_size
    channels_first = section.layout == "nchw" and not section.embed_preprocessing
    return EngineOptions(
        data_type=spec.engine_type,
        workspace_gb=section.max_workspace_size or WORKSPACE_GB,
        batches=(smallest, best, largest),
        image=(channels, height, width) if channels_first else (height, width, channels),
    )


def engine_source(spec: Spec) -> Exported:
    """The exported file that TensorRT reads: the one written for TensorRT, if there is one."""
    files = exported_files(spec)
    return next((file for file in files if file.form == "tensorrt"), files[0])
