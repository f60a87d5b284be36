"""The export section: the file for deployment, its precision, what lies beside it, and TensorRT's engine."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, field_validator, model_validator

from secateur.spec.fields import (
    Folded,
    Fraction,
    OptionalPath,
    PositiveFloat,
    PositiveInt,
    Section,
    Share,
    listed,
)

DataType = Literal["fp32", "fp16", "int8"]
# Files of these targets are plain: a pass phrase would protect nothing beside them.
Target = Literal["tflite", "openvino", "web"]
# Top-1 agreement with Keras and largest difference of a probability that an exported file must meet without `parity`.
PARITY: dict[str, tuple[float, float]] = {"fp32": (1.0, 1e-4), "fp16": (0.99, 0.05), "int8": (0.9, 1.0)}


class CalibrationSpec(Section):
    """Own addition: how ranges of activations are measured for int8."""

    images: PositiveInt = Field(512, description="training images that are looked at")
    method: Annotated[Literal["minmax", "entropy", "percentile"], Folded] = Field(
        "minmax",
        description="range of an activation: least to largest value; the one that tells least different a "
        "distribution; or without the furthest 0.01 %",
    )


class ParitySpec(Section):
    """Own addition: what an exported file must meet on the test images, or the run stops."""

    min_top_1_agreement: Share | None = Field(
        None, description="share of images with the same answer as Keras; absent: fp32 1, fp16 0.99, int8 0.9"
    )
    max_difference: Share | None = Field(
        None, description="largest difference of a probability; absent: fp32 0.0001, fp16 0.05, int8 1"
    )

    def limits(self, data_type: str) -> tuple[float, float]:
        """Least agreement and largest difference for a file of this type."""
        agreement, difference = PARITY[data_type]
        return (
            agreement if self.min_top_1_agreement is None else self.min_top_1_agreement,
            difference if self.max_difference is None else self.max_difference,
        )


class ExportSpec(Section):
    """The file for deployment."""

    model_path: OptionalPath = Field(None, description="absent or EVALMODEL: the final model")
    output_path: OptionalPath = Field(None, description="suffix .etlt: encrypted; .onnx: plain")
    data_type: Annotated[DataType | None, Folded] = Field(
        None, description="precision; absent: int8 where the final model was trained with qat, else fp32"
    )
    layout: Annotated[Literal["nchw", "nhwc"], Folded] = Field("nchw", description="own addition: input layout")
    embed_preprocessing: bool = Field(
        False, description="own addition: the file takes plain pixels, NHWC in RGB order, and scales them itself"
    )
    calibration: CalibrationSpec = Field(default_factory=CalibrationSpec)
    int8_max_drop: Fraction | None = Field(
        None,
        description="own addition: top-1 that int8 may lose on the validation images; the layers that hurt most stay "
        "in float until it holds. Absent: all layers are int8",
    )
    parity: ParitySpec = Field(default_factory=ParitySpec)
    targets: Annotated[list[Annotated[Target, Folded]], BeforeValidator(listed)] = Field(
        [], description="own addition: more files beside the ONNX one: TFLite in fp32 and int8, OpenVINO, a web page"
    )
    converter: Annotated[Literal["direct", "tf2onnx"], Folded] = Field("direct", description="own addition")
    target_opset: int = Field(13, ge=13, le=18, description="ONNX operator set")
    engine_file: OptionalPath = Field(
        None, description="also write the TensorRT engine here; with it, or with `gen_trt_engine`, one is built"
    )
    engine_data_type: Annotated[DataType | None, Folded] = Field(
        None, description="own addition: precision of the TensorRT engine; absent: that of the exported file"
    )
    max_workspace_size: PositiveFloat | None = Field(None, description="TensorRT: GB; absent: 2")
    cal_image_dir: Annotated[list[str], BeforeValidator(listed)] = Field(
        [], description="int8: folders of images to calibrate with, in place of training images"
    )
    cal_cache_file: OptionalPath = None
    cal_data_file: OptionalPath = None
    batch_size: PositiveInt | None = Field(None, description="int8: with `batches`, how many images calibrate")
    batches: PositiveInt | None = Field(None, description="int8: with `batch_size`, how many images calibrate")
    min_batch_size: PositiveInt | None = Field(None, description="TensorRT: smallest batch; absent: 1")
    opt_batch_size: PositiveInt | None = Field(None, description="TensorRT: batch to be fastest at; absent: 1")
    max_batch_size: PositiveInt | None = Field(None, description="TensorRT: largest batch; absent: 8")
    results_dir: OptionalPath = Field(None, description="no effect: steps write under the run's results_dir")

    @field_validator("output_path")
    @classmethod
    def _known_suffix(cls, path: str | None) -> str | None:
        if path is not None and not path.endswith((".onnx", ".etlt")):
            raise ValueError(f"output_path must end in .onnx (plain) or .etlt (encrypted): '{path}'")
        return path

    @model_validator(mode="after")
    def _targets_are_plain(self) -> Self:
        if self.targets and not (self.output_path or "").endswith(".onnx"):
            raise ValueError(
                f"targets {', '.join(self.targets)} write files that anyone can read; set output_path to an .onnx file "
                "or remove them"
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
        """How many images calibrate."""
        if self.batches and self.batch_size:
            return self.batches * self.batch_size
        return self.calibration.images


class GenTrtEngineSpec(Section):
    """V2: asks for a TensorRT engine; its options are read as those of `export` (`vintages`)."""

    class TensorRT(Section):
        """What is left of it when its keys have their V1 names."""

        class Calibration(Section):
            """Likewise."""

        calibration: Calibration | None = None

    onnx_file: OptionalPath = None
    results_dir: OptionalPath = Field(None, description="no effect: steps write under the run's results_dir")
    tensorrt: TensorRT | None = None
