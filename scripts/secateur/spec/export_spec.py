"""The export section: the file for deployment, its precision, the files beside it, and TensorRT's engine."""

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
    output_file,
    spec_key,
)
from secateur.spec.train_spec import OWN_RESULTS

DataType = Literal["fp32", "fp16", "int8"]
# Files of these targets are not encrypted, so that encrypting the ONNX file beside them protects nothing.
Target = Literal["tflite", "openvino", "web"]
# Default limits of `parity`: least top-1 agreement with Keras, and largest difference of a probability.
PARITY: dict[str, tuple[float, float]] = {"fp32": (1.0, 1e-4), "fp16": (0.99, 0.05), "int8": (0.9, 1.0)}


ENGINES = (".engine", ".plan", ".trt", ".engine.fp32", ".engine.fp16", ".engine.int8")


class CalibrationSpec(Section):
    """Own addition: measurement of the ranges of activations for int8."""

    images: PositiveInt = spec_key(512, "number of training images", "calibrate", "export")
    method: Annotated[Literal["minmax", "entropy", "percentile"], Folded] = spec_key(
        "minmax",
        "range of an activation: minmax = full range, entropy = least KL divergence, percentile = without the "
        "outermost 0.01 %",
        "calibrate",
    )


class ParitySpec(Section):
    """Own addition: limits for an exported file on the test images. The run stops if the file exceeds them."""

    min_top_1_agreement: Share | None = spec_key(
        None, "share of images with the same answer as Keras; absent: fp32 1, fp16 0.99, int8 0.9", "export", "engine"
    )
    max_difference: Share | None = spec_key(
        None, "largest difference of a probability; absent: fp32 0.0001, fp16 0.05, int8 1", "export", "engine"
    )

    def limits(self, data_type: str) -> tuple[float, float]:
        """The least agreement and the largest difference for a file of this type."""
        agreement, difference = PARITY[data_type]
        return (
            agreement if self.min_top_1_agreement is None else self.min_top_1_agreement,
            difference if self.max_difference is None else self.max_difference,
        )


class ExportSpec(Section):
    """The file for deployment."""

    model_path: OptionalPath = spec_key(
        None, "absent or EVALMODEL: the final model", "calibrate", "export", "latency", "engine"
    )
    output_path: Annotated[OptionalPath, output_file(".onnx", ".etlt")] = spec_key(
        None, "suffix .etlt: encrypted; .onnx: plain", "export", "latency", "bundle", "web", "engine"
    )
    data_type: Annotated[DataType | None, Folded] = spec_key(
        None, "precision; absent: int8 if the final model was trained with qat, else fp32", "export", "bundle", "engine"
    )
    layout: Annotated[Literal["nchw", "nhwc"], Folded] = spec_key(
        "nchw", "own addition: input layout", "calibrate", "export", "bundle", "web", "engine", "pareto"
    )
    embed_preprocessing: bool = spec_key(
        False,
        "own addition: the file takes plain pixels, NHWC in RGB order, and scales them itself",
        "calibrate",
        "export",
        "bundle",
        "web",
        "engine",
    )
    calibration: CalibrationSpec = Field(default_factory=CalibrationSpec, description="ranges for int8")
    int8_max_drop: Fraction | None = spec_key(
        None,
        "own addition: top-1 accuracy that int8 may lose on the validation images; the layers that lose most stay in "
        "float until the limit holds. Absent: all layers are int8",
        "calibrate",
    )
    parity: ParitySpec = Field(default_factory=ParitySpec, description="what the file must meet")
    provenance: Annotated[Literal["full", "digest", "none"], Folded] = spec_key(
        "digest",
        "own addition: what the exported file says of its origin: full = all sections of the spec, digest = the same "
        "without paths, addresses and trackers, none = nothing",
        "export",
    )
    targets: Annotated[list[Annotated[Target, Folded]], BeforeValidator(listed)] = spec_key(
        [], "own addition: more files beside the ONNX file: TFLite in fp32 and int8, OpenVINO, a web page", "bundle"
    )
    converter: Annotated[Literal["direct", "tf2onnx"], Folded] = spec_key(
        "direct", "own addition: program that writes the ONNX file", "calibrate", "export"
    )
    target_opset: int = spec_key(13, "ONNX operator set", "calibrate", "export", "pareto", ge=13, le=18)
    engine_file: Annotated[OptionalPath, output_file(*ENGINES)] = spec_key(
        None, "also write the TensorRT engine here; this key or `gen_trt_engine` asks for an engine", "engine"
    )
    engine_data_type: Annotated[DataType | None, Folded] = spec_key(
        None, "own addition: precision of the TensorRT engine; absent: that of the exported file", "bundle", "engine"
    )
    max_workspace_size: PositiveFloat | None = spec_key(
        None, "TensorRT: GB of memory for building; absent: 2", "bundle", "engine"
    )
    cal_image_dir: Annotated[list[str], BeforeValidator(listed)] = spec_key(
        [],
        "int8: folders of images to calibrate with, instead of training images",
        "calibrate",
        "export",
        place=True,
    )
    cal_cache_file: OptionalPath = no_effect(None, "ranges are kept in export/calibration.json")
    cal_data_file: OptionalPath = no_effect(None, "the calibration images are read again")
    batch_size: PositiveInt | None = spec_key(
        None, "int8: images per calibration batch; needs `batches`", "calibrate", "export"
    )
    batches: PositiveInt | None = spec_key(
        None, "int8: number of calibration batches; needs `batch_size`", "calibrate", "export"
    )
    min_batch_size: PositiveInt | None = spec_key(None, "TensorRT: smallest batch; absent: 1", "bundle", "engine")
    opt_batch_size: PositiveInt | None = spec_key(None, "TensorRT: most usual batch; absent: 1", "bundle", "engine")
    max_batch_size: PositiveInt | None = spec_key(None, "TensorRT: largest batch; absent: 8", "bundle", "engine")
    results_dir: OptionalPath = no_effect(None, OWN_RESULTS)

    @model_validator(mode="after")
    def _targets_are_plain(self) -> Self:
        if self.targets and not (self.output_path or "").endswith(".onnx"):
            raise ValueError(
                f"targets {', '.join(self.targets)} are not encrypted; set output_path to an .onnx file or remove them"
            )
        return self

    @model_validator(mode="after")
    def _only_ours_is_quantised(self) -> Self:
        if self.converter == "tf2onnx" and (self.data_type == "int8" or self.embed_preprocessing):
            raise ValueError("converter tf2onnx writes plain networks; int8 and embed_preprocessing need direct")
        return self

    @model_validator(mode="after")
    def _batches_in_order(self) -> Self:
        given = [size for size in (self.min_batch_size, self.opt_batch_size, self.max_batch_size) if size]
        if given != sorted(given):
            raise ValueError("min_batch_size, opt_batch_size and max_batch_size must ascend")
        return self

    @property
    def calibration_images(self) -> int:
        """The number of calibration images."""
        if self.batches and self.batch_size:
            return self.batches * self.batch_size
        return self.calibration.images


class GenTrtEngineSpec(Section):
    """V2: asks for a TensorRT engine. Its options are read as keys of `export`."""

    class TensorRT(Section):
        """The section after its keys were renamed to V1."""

        class Calibration(Section):
            """Likewise."""

        calibration: Calibration | None = Field(None, description="read as keys of export")

    onnx_file: OptionalPath = no_effect(None, "the engine is built from the file that export writes")
    results_dir: OptionalPath = no_effect(None, OWN_RESULTS)
    tensorrt: TensorRT | None = Field(None, description="read as keys of export")
