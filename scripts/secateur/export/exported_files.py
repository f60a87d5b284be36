"""The list of the files that `export` writes, with their program and precision. No Keras is imported."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from secateur.spec import Spec

Form = Literal["onnxruntime", "tensorrt", "tflite", "openvino", "web"]
PARITY_SUFFIX = ".parity.json"
# Rule -> role -> pattern of the file name. Most forms are one file; OpenVINO keeps the weights in a second file.
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
        form: the program that reads it.
    """

    name: str
    data_type: str
    form: Form

    @property
    def encrypted(self) -> bool:
        """Whether the file is encrypted."""
        return self.name.endswith(".etlt")

    @property
    def parts(self) -> list[str]:
        """The names of the files that belong to it, itself included."""
        return [self.name, f"{Path(self.name).stem}.bin"] if self.form == "openvino" else [self.name]

    @property
    def parity_name(self) -> str:
        """The name of the file with its figures."""
        return self.name + PARITY_SUFFIX

    @property
    def plain_name(self) -> str:
        """The name of the file after decryption."""
        return f"{self.name.removesuffix('.etlt')}.onnx" if self.encrypted else self.name

    @property
    def needs_ranges(self) -> bool:
        """Whether writing it needs the ranges of activations from `calibrate`."""
        return self.data_type == "int8" and self.form != "tflite"


def export_name(spec: Spec) -> str:
    """The file name of the exported model; without an output_path, the arch and `.etlt`, or `.onnx` without a key."""
    if spec.export.output_path:
        return Path(spec.export.output_path).name
    return f"{spec.model.arch}{'.onnx' if spec.plain_files else '.etlt'}"


def exported_files(spec: Spec) -> list[Exported]:
    """The files that `export` writes. The file that the spec names is the first."""
    name = export_name(spec)
    stem, suffix = Path(name).stem, Path(name).suffix
    files = [Exported(name, spec.exported_type, "onnxruntime")]
    # ONNX Runtime and TensorRT need the integers at different places, and TensorRT 11 uses the precision of the file.
    if spec.engine_type == "int8" or spec.engine_type != spec.exported_type:
        files.append(Exported(f"{stem}.tensorrt{suffix}", spec.engine_type, "tensorrt"))
    of_target = {
        "tflite": [Exported(f"{stem}.tflite", "fp32", "tflite"), Exported(f"{stem}.int8.tflite", "int8", "tflite")],
        "openvino": [Exported(f"{stem}.xml", spec.exported_type, "openvino")],
        "web": [Exported(WEB_PAGE, spec.exported_type, "web")],
    }
    return [*files, *(file for target in of_target if target in spec.export.targets for file in of_target[target])]


def exported_file(spec: Spec, name: str) -> Exported | None:
    """The file with this name; None if the spec does not ask for it."""
    return next((file for file in exported_files(spec) if file.name == name), None)


def calibrates(spec: Spec) -> bool:
    """Whether the export of a spec needs ranges of activations."""
    return any(file.needs_ranges for file in exported_files(spec))
