"""The files that `export` writes: which there are, for which program, in which precision. Light: no Keras."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from secateur.spec import Spec

Form = Literal["onnxruntime", "tensorrt", "tflite", "openvino", "web"]
PARITY_SUFFIX = ".parity.json"
# Rule -> role -> pattern of a file's name. Most forms are one file; OpenVINO keeps the weights in a second one.
EXPORT_RULES: dict[str, dict[str, str]] = {
    "export": {"model": "{file}", "parity": "{file}" + PARITY_SUFFIX},
    "export_pair": {"model": "{stem}.xml", "weights": "{stem}.bin", "parity": "{stem}.xml" + PARITY_SUFFIX},
}
WEB_PAGE = "try.html"


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
    form: Form

    @property
    def encrypted(self) -> bool:
        """Whether it is encrypted."""
        return self.name.endswith(".etlt")

    @property
    def parts(self) -> list[str]:
        """Names of the files that it consists of."""
        return [self.name, f"{Path(self.name).stem}.bin"] if self.form == "openvino" else [self.name]

    @property
    def parity_name(self) -> str:
        """Name of the file with its figures."""
        return self.name + PARITY_SUFFIX

    @property
    def plain_name(self) -> str:
        """Name of the file after decryption."""
        return f"{self.name.removesuffix('.etlt')}.onnx" if self.encrypted else self.name

    @property
    def needs_ranges(self) -> bool:
        """Whether it is written from the ranges of activations that `calibrate` keeps."""
        return self.data_type == "int8" and self.form != "tflite"


def export_name(spec: Spec) -> str:
    """File name of the exported model; without an output_path it is the arch, encrypted."""
    return Path(spec.export.output_path).name if spec.export.output_path else f"{spec.model.arch}.etlt"


def exported_files(spec: Spec) -> list[Exported]:
    """The files that `export` writes, the one that the spec names first."""
    name = export_name(spec)
    stem, suffix = Path(name).stem, Path(name).suffix
    files = [Exported(name, spec.exported_type, "onnxruntime")]
    # The two programs want the same integers at other places, and TensorRT 11 takes its precision from the file.
    if spec.engine_type == "int8" or spec.engine_type != spec.exported_type:
        files.append(Exported(f"{stem}.tensorrt{suffix}", spec.engine_type, "tensorrt"))
    of_target = {
        "tflite": [Exported(f"{stem}.tflite", "fp32", "tflite"), Exported(f"{stem}.int8.tflite", "int8", "tflite")],
        "openvino": [Exported(f"{stem}.xml", spec.exported_type, "openvino")],
        "web": [Exported(WEB_PAGE, spec.exported_type, "web")],
    }
    return [*files, *(file for target in of_target if target in spec.export.targets for file in of_target[target])]


def exported_file(spec: Spec, name: str) -> Exported | None:
    """The file of this name; None where the spec asks for no such file."""
    return next((file for file in exported_files(spec) if file.name == name), None)


def calibrates(spec: Spec) -> bool:
    """Whether ranges of activations are needed."""
    return any(file.needs_ranges for file in exported_files(spec))
