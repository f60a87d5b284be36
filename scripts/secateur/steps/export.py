"""The export step: it converts the final model to a file for deployment and checks the file."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

import onnx
import onnxruntime

from secateur.export.exported_files import Exported, exported_files
from secateur.export.final_model import FinalModel
from secateur.export.onnx_content import onnx_content
from secateur.export.onnx_features import features_of
from secateur.export.parity import meets_limits, require_agreement
from secateur.export.runners import onnx_runner
from secateur.models.cost import cost_of
from secateur.quantization.integers import integer_check
from secateur.run import Run
from secateur.spec import Spec
from secateur.steps.calibrate import read_calibration
from secateur.steps.context import step_context
from secateur.steps.export_parity import parity_of
from secateur.steps.export_targets import TARGETS
from secateur.steps.exported_model import load_final_model, onnx_metadata
from secateur.steps.model_card import FROM_CARD
from secateur.storage.atomic import atomic_file, require_space, write_json
from secateur.vault.files import write_content


def export(run: Run, stream: IO[str], name: str) -> dict[str, Any]:
    """Write one file below `export/` and its parity figures. The suffix decides whether an ONNX model is encrypted.

    Args:
        run: the run of the final model.
        stream: for messages.
        name: of the file, one of `exported_files`.

    Returns:
        The parity figures.

    Raises:
        ModelError: the file and Keras answer differently on the test images; the file is not written then.
        SecateurError: a file cannot be read or written.
    """
    file = next(file for file in exported_files(run.spec) if file.name == name)
    target = run.export_file(file.name)
    with step_context(run, "export", lock=f"export-{file.name}.lock") as status:
        write = TARGETS.get(file.form, write_onnx)
        run, final, from_card = load_final_model(run, "export", stream)
        cost = cost_of(final.model)
        about = {"params": cost.params, "macs": cost.macs, "external_model": _external(run)}
        parity = {**write(run, final, file, target), FROM_CARD: from_card, **about}
        write_json(target.with_name(file.parity_name), parity)
        size = sum(target.with_name(part).stat().st_size for part in file.parts)
        kpi = {"size": size / (1 << 20), "max_difference": parity["max_difference"]}
        status.write("RUNNING", f"wrote {target.name}", kpi=kpi)
    print(f"export  {target}  {in_words(parity, size)}", file=stream, flush=True)
    if (warning := clipping_warning(parity, run.spec)) is not None:
        print(f"export  warning: {warning}", file=stream, flush=True)
    return parity


def _external(run: Run) -> str | None:
    """The name of the model file if it is of another run."""
    return None if run.exports_own_model else run.model_to_export.name


def clipping_warning(parity: Mapping[str, Any], spec: Spec) -> str | None:
    """A sentence if an int8 file would not pass the gate in the integers of this CPU; else None."""
    here = parity.get("on_this_cpu")
    if here is None or meets_limits({**parity, **here}, spec):
        return None
    return (
        f"this CPU computes int8 with OpenVINO inexactly: {parity['file']} has the same top-1 as Keras on "
        f"{here['top_1_agreement']:.1%} here, on {parity['top_1_agreement']:.1%} on a CPU with VNNI; "
        "see docs/deploying.md"
    )


def in_words(parity: Mapping[str, Any], size_bytes: int) -> str:
    """The result for one file, on one line."""
    words = (
        f"{parity['data_type']}  {size_bytes:,} bytes  top-1 {parity['accuracy']['top_1']:.4f} on {parity['images']} "
        f"{parity['split']} images, the same as Keras on {parity['top_1_agreement']:.1%}"
    )
    layers = parity.get("integers")
    if layers is None:
        return words
    return f"{words}, {layers['in_integers']} of {layers['layers_with_weights']} layers in integers"


def write_onnx(run: Run, final: FinalModel, file: Exported, target: Path) -> dict[str, Any]:
    """Write an `.onnx` file or an encrypted `.etlt` file, and a copy at `export.output_path` if that is another place.

    Raises:
        ModelError: the file answers differently from Keras.
    """
    calibration = read_calibration(run) if file.data_type == "int8" else None
    content = onnx_content(final, file, calibration, onnx_metadata(run, final))
    parity = {
        **parity_of(run, final, file, onnx_runner(content, run.spec, run.threads)),
        **_layers_in_integers(content, file, run.threads),
        "features": features_of(content),
        "plain_sha256": hashlib.sha256(content).hexdigest(),
        "converter": run.spec.export.converter,
        "opset": run.spec.export.target_opset,
        "onnx": onnx.__version__,
        "onnxruntime": onnxruntime.__version__,
    }
    require_space(target.parent, len(content), "the exported model")
    require_agreement(parity, run.spec)
    elsewhere = run.resolve(run.spec.export.output_path, target).with_name(file.name)
    for path in dict.fromkeys((target, elsewhere)):
        _write_model(content, path, run)
    return parity


def _layers_in_integers(content: bytes, file: Exported, threads: int | None) -> dict[str, Any]:
    """The layers that ONNX Runtime computes in integers, for an int8 file for ONNX Runtime; TensorRT decides itself."""
    if file.data_type != "int8" or file.form != "onnxruntime":
        return {}
    return {"integers": integer_check(content, threads).as_json()}


def _write_model(content: bytes, target: Path, run: Run) -> None:
    with atomic_file(target, len(content)) as stream:
        if target.suffix == ".onnx":
            stream.write(content)
        else:
            write_content(io.BytesIO(content), stream, run.key)
