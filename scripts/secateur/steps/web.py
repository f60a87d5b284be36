"""The web step: `export/try.html`, one file with the model and ONNX Runtime inside, which needs no server."""

from __future__ import annotations

import base64
import gzip
import json
from pathlib import Path
from typing import IO

from secateur.data.classes import read_classmap
from secateur.errors import ModelError
from secateur.export.exported_files import export_name
from secateur.export.input_scaling import preprocessing_of
from secateur.run import Run
from secateur.steps.context import working
from secateur.storage.atomic import write_text

PAGE = Path(__file__).parent.parent / "export" / "try.html"
# Installed by `make web` from web/package.json, beside the package's own checkout.
RUNTIME = Path(__file__).resolve().parents[3] / "web" / "node_modules" / "onnxruntime-web" / "dist"
SCRIPT, BINARY = "ort.wasm.bundle.min.mjs", "ort-wasm-simd-threaded.wasm"


def web(run: Run, stream: IO[str]) -> Path:
    """Write `export/try.html`.

    Raises:
        ModelError: ONNX Runtime for the web is not installed.
        ArtifactError: the exported model is missing.
    """
    target = run.results / "export" / "try.html"
    with working(run, "web", "export", lock="export-web"):
        model = (run.results / "export" / export_name(run.spec)).read_bytes()
        card = {**preprocessing_of(run.spec), "labels": read_classmap(run.classmap), "title": run.name}
        write_text(target, page(card, model))
    print(f"web  {target}  {target.stat().st_size:,} bytes", file=stream, flush=True)
    return target


def page(card: dict[str, object], model: bytes) -> str:
    """The text of the page.

    Args:
        card: `preprocessing.json` with `labels` and `title`.
        model: the ONNX file.
    """
    parts = {
        "CARD": json.dumps(card, ensure_ascii=True).replace("<", "\\u003c"),
        "MODEL": base64.b64encode(gzip.compress(model, mtime=0)).decode(),
        "RUNTIME": base64.b64encode(gzip.compress(_runtime(BINARY), mtime=0)).decode(),
        "SCRIPT": base64.b64encode(_runtime(SCRIPT)).decode(),
    }
    text = PAGE.read_text(encoding="utf-8")
    for name, content in parts.items():
        text = text.replace(f"{{{{{name}}}}}", content)
    return text


def _runtime(name: str) -> bytes:
    try:
        return (RUNTIME / name).read_bytes()
    except OSError as error:
        raise ModelError(
            "export.targets: web needs ONNX Runtime for the web, which is not installed",
            "run `make web` in the checkout of secateur (it needs npm), or remove the target",
        ) from error
