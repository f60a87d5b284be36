"""The files that `export` writes: which there are, for which program, in which precision. Light: no Keras."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from secateur.spec import Spec


def export_name(spec: Spec) -> str:
    """File name of the exported model; without an output_path it is the arch, encrypted."""
    return Path(spec.export.output_path).name if spec.export.output_path else f"{spec.model.arch}.etlt"


# What lies beside the exported models, made from the spec and their figures.
BUNDLE_FILES = (
    "labels.txt",
    "preprocessing.json",
    "metrics.json",
    "nvinfer_config.txt",
    "nvinfer_labels.txt",
    "trtexec.sh",
    "predict.py",
    "README.md",
    "MANIFEST.json",
)


@dataclass(frozen=True)
class Exported:
    """A file for deployment.

    Attributes:
        name: of the file, below `export/`.
        data_type: its precision.
        form: the program that it is for.
    """

    name: str
    data_type: str
    form: Literal["onnxruntime", "tensorrt", "tflite", "openvino"]

    @property
    def sealed(self) -> bool:
        """Whether it is encrypted."""
        return self.name.endswith(".etlt")

    @property
    def parts(self) -> list[str]:
        """Names of the files that it consists of: OpenVINO keeps the weights in one of their own."""
        return [self.name, f"{Path(self.name).stem}.bin"] if self.form == "openvino" else [self.name]

    @property
    def plain_name(self) -> str:
        """Of the file when it is decrypted."""
        return f"{self.name.removesuffix('.etlt')}.onnx" if self.sealed else self.name


def exported_files(spec: Spec) -> list[Exported]:
    """The models that `export` writes, the one that the spec names first."""
    name = export_name(spec)
    stem, suffix = Path(name).stem, Path(name).suffix
    files = [Exported(name, spec.exported_type, "onnxruntime")]
    # The two programs want the same integers at other places, and TensorRT 11 takes its precision from the file.
    if spec.engine_type == "int8" or spec.engine_type != spec.exported_type:
        files.append(Exported(f"{stem}.tensorrt{suffix}", spec.engine_type, "tensorrt"))
    if "tflite" in spec.export.targets:
        files += [Exported(f"{stem}.tflite", "fp32", "tflite"), Exported(f"{stem}.int8.tflite", "int8", "tflite")]
    if "openvino" in spec.export.targets:
        files.append(Exported(f"{stem}.xml", spec.exported_type, "openvino"))
    return files


def parity_path(target: Path) -> Path:
    """Where the figures of an exported file stand."""
    return target.with_name(f"{target.name}.parity.json")


def calibrates(spec: Spec) -> bool:
    """Whether ranges of activations are needed."""
    return any(file.data_type == "int8" and file.form in ("onnxruntime", "tensorrt") for file in exported_files(spec))
