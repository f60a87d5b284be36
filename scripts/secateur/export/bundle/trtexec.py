"""`trtexec.sh`: the command that builds a TensorRT engine with the numbers of the spec."""

from __future__ import annotations

import shlex

from secateur.export.engine_options import EngineOptions
from secateur.export.exported_files import Exported
from secateur.keras_to_onnx.tensor_names import INPUT_NAME


def trtexec_script(options: EngineOptions, file: Exported) -> str:
    """The text of the script.

    Args:
        options: of the engine.
        file: the model that TensorRT reads.
    """
    shapes = {word: "x".join(map(str, shape)) for word, shape in options.shapes().items()}
    words = [
        f"--onnx={file.plain_name}",
        f"--saveEngine={file.plain_name.removesuffix('.onnx')}.engine",
        *(f"--{word}Shapes={INPUT_NAME}:{shape}" for word, shape in shapes.items()),
        f"--memPoolSize=workspace:{options.workspace_mib}",
    ]
    # Layers that are not int8 use half precision. TensorRT 11 has no such flags; it uses the precision of the file.
    flags = {"fp32": "", "fp16": "--fp16", "int8": "--int8 --fp16"}[options.data_type]
    command = " \\\n  ".join(["trtexec", *map(shlex.quote, words), '$precision "$@"' if flags else '"$@"'])
    choose = f"precision=\nif trtexec --help 2>/dev/null | grep -q -e --fp16; then precision='{flags}'; fi\n"
    decrypt = shlex.join(["secateur", "decrypt", file.name, "-o", file.plain_name, "--key", "env:NAME"])
    missing = f"[ -f {shlex.quote(file.plain_name)} ] || {{ echo {shlex.quote(f'first: {decrypt}')} >&2; exit 1; }}\n"
    return (
        "#!/bin/sh\n# Builds a TensorRT engine of the model here. Arguments go to trtexec.\nset -eu\n"
        f'cd "$(dirname "$0")"\n{missing if file.encrypted else ""}{choose if flags else ""}exec {command}\n'
    )
