"""The export step: the final model in; a checked deployment file and what belongs to it out."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import IO, Any

import keras
import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray

from secateur import vault
from secateur.artifacts import atomic_file, require_space, require_writable, write_json, write_text
from secateur.data.classes import read_classmap
from secateur.data.manifest import read_manifest
from secateur.data.pipeline import ImageReader
from secateur.errors import ModelError
from secateur.evaluation.evaluate import measured_rows, require_outputs
from secateur.export.onnx_writer import INPUT_NAME, OUTPUT_NAME, to_onnx
from secateur.export.preprocessing import preprocessing_of
from secateur.export.tf2onnx_route import to_onnx_by_tf2onnx
from secateur.modelfile import load_model
from secateur.provenance import card_of, link
from secateur.run import Run, export_name
from secateur.working import working

PARITY_IMAGES = 64
MAX_DIFFERENCE = 1e-4  # of a probability, between Keras and ONNX Runtime
# Two likeliest classes closer than this are a tie, which rounding may decide either way.
TIE = 2 * MAX_DIFFERENCE


def export(run: Run, stream: IO[str]) -> dict[str, Any]:
    """Write the ONNX model, plain or sealed by its suffix, with its parity figures beside it.

    Returns:
        The parity figures.

    Raises:
        ModelError: ONNX Runtime and Keras disagree on real images; no model file is written then.
        SecateurError: with what is wrong and what to do.
    """
    section = run.spec.export
    folder = run.results / "export"
    with working(run, "export") as status:
        classes = read_classmap(run.classmap)
        source = run.resolve(section.model_path, run.model(run.final_step))
        model, card = load_model(source, run.key)
        require_outputs(model, classes, source)
        convert = to_onnx_by_tf2onnx if section.converter == "tf2onnx" else to_onnx
        content = convert(
            model, section.layout, section.target_opset, _metadata(run, classes, card)
        ).SerializeToString()
        parity = _parity(model, content, run)
        target = folder / export_name(run.spec)
        elsewhere = run.resolve(section.output_path, target)
        require_space(folder, len(content), "the exported model")
        write_json(parity_path(target), parity)
        _require_agreement(parity)
        _write_model(content, target, run)
        if elsewhere != target:
            _write_model(content, elsewhere, run)
        size = {"size": target.stat().st_size / (1 << 20)}
        status.write("RUNNING", f"wrote {target.name}", kpi={**size, "max_difference": parity["max_difference"]})
    print(
        f"export  {target}  {target.stat().st_size:,} bytes  same top-1 as Keras on "
        f"{parity['images']} images, largest difference {parity['max_difference']:.1e}",
        file=stream,
        flush=True,
    )
    return parity


def parity_path(target: Path) -> Path:
    """Where the parity figures of an exported file stand."""
    return target.with_name(f"{target.name}.parity.json")


def sidecars(run: Run) -> None:
    """Write `export/labels.txt`, one class a line in index order, and `export/preprocessing.json`."""
    folder = run.results / "export"
    require_writable(folder)
    write_text(folder / "labels.txt", "".join(f"{name}\n" for name in read_classmap(run.classmap)))
    write_json(folder / "preprocessing.json", preprocessing_of(run.spec))


def _metadata(run: Run, classes: list[str], card: dict[str, Any]) -> dict[str, str]:
    chain = [*card.get("provenance", []), link(run, "export", parent_sha256=card["sha256"])]
    return {name: json.dumps(value) for name, value in card_of(run, chain, classes).items()}


def _write_model(content: bytes, target: Path, run: Run) -> None:
    with atomic_file(target, len(content)) as stream:
        if target.suffix == ".onnx":
            stream.write(content)
        else:
            vault.seal(io.BytesIO(content), stream, run.key)


def _parity(model: keras.Model, content: bytes, run: Run) -> dict[str, Any]:
    """Compare Keras with ONNX Runtime on images of the measured split."""
    rows, split = measured_rows(read_manifest(run.manifest))
    chosen = rows["path"].iloc[np.unique(np.linspace(0, len(rows) - 1, PARITY_IMAGES).astype(int))]
    reader = ImageReader(run.spec.data, run.spec.augment, run.spec.model, run.spec.evaluate.n_workers)
    images = np.stack(list(reader.pool.map(reader.read, chosen)))
    by_keras = np.asarray(model.predict_on_batch(images))
    by_onnx = run_onnx(content, images, run.spec.export.layout)
    agree = (by_keras.argmax(axis=1) == by_onnx.argmax(axis=1)) | _ties(by_keras)
    return {
        "images": len(images),
        "split": split,
        "max_difference": float(np.abs(by_keras - by_onnx).max()),
        "top_1_agreement": float(agree.mean()),
        "converter": run.spec.export.converter,
        "opset": run.spec.export.target_opset,
        "onnx": onnx.__version__,
        "onnxruntime": onnxruntime.__version__,
    }


def _ties(probabilities: NDArray[np.float32]) -> NDArray[np.bool_]:
    best = np.sort(probabilities, axis=1)
    return np.asarray(best[:, -1] - best[:, -2] < TIE)


def run_onnx(content: bytes, images: NDArray[np.float32], layout: str) -> NDArray[np.float32]:
    """Probabilities by ONNX Runtime on the CPU for images float32 [batch, height, width, channels]."""
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    fed = images.transpose(0, 3, 1, 2) if layout == "nchw" else images
    return np.asarray(session.run([OUTPUT_NAME], {INPUT_NAME: np.ascontiguousarray(fed)})[0])


def _require_agreement(parity: dict[str, Any]) -> None:
    if parity["top_1_agreement"] < 1 or not parity["max_difference"] <= MAX_DIFFERENCE:
        raise ModelError(
            f"the ONNX model differs from Keras: largest difference {parity['max_difference']:.2e}, "
            f"same top-1 on {parity['top_1_agreement']:.1%} of {parity['images']} images",
            "try the other export.converter and report this model",
        )
