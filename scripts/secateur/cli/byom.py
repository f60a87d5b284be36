"""The command `secateur byom`: it converts the user's own model to an encrypted Keras model."""

from __future__ import annotations

from pathlib import Path
from typing import IO

from secateur.byom.from_onnx import keras_from_onnx
from secateur.errors import SpecError
from secateur.models.cost import cost_of
from secateur.models.file import load_model, save_model
from secateur.storage.atomic import require_writable, sha256_of


def byom_step(path: str, output: str, cut: str | None, key: str, stream: IO[str]) -> None:
    """Convert a model and write it to `output`, encrypted with the key.

    Args:
        path: `.onnx`, or `.keras` of plain layers.
        output: `.tltb`.
        cut: see `keras_from_onnx`; for ONNX only.
        key: passphrase.
        stream: receives the summary.

    Raises:
        SecateurError: the model cannot be read, converted or written.
    """
    if not output.endswith(".tltb"):
        raise SpecError(f"'{output}' must end in .tltb", "give -o another name")
    require_writable(Path(output).parent)
    if path.endswith(".keras"):
        if cut is not None:
            raise SpecError("--cut works on ONNX files only", "remove --cut; retain_head: False replaces the head")
        model, _ = load_model(path, key)
        agreement = "not changed"
    else:
        imported = keras_from_onnx(path, cut)
        model, agreement = imported.model, f"largest difference from ONNX Runtime {imported.difference:.1e}"
    card = {"byom": {"file": Path(path).name, "sha256": sha256_of(Path(path)), "cut": cut}}
    save_model(model, output, key, card)
    cost = cost_of(model)
    height, width, channels = model.input_shape[1:]
    print(
        f"byom  {output}  {len(model.layers)} layers  {cost.params:,} parameters  {agreement}\n"
        f"add to the spec:\n  model.arch: byom\n  model.byom_model: {output}\n"
        f"  model.input_image_size: [{channels}, {height}, {width}]",
        file=stream,
        flush=True,
    )
