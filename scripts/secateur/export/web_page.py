"""`try.html`: one file that holds the model and ONNX Runtime; it needs no server and no network."""

from __future__ import annotations

import base64
import gzip
import json
import re
from pathlib import Path

from secateur.errors import ModelError
from secateur.storage.regular_files import read_regular

PAGE = Path(__file__).with_name("try.html")
# `make web` installs it from web/package.json into the checkout.
RUNTIME = Path(__file__).resolve().parents[3] / "web" / "node_modules" / "onnxruntime-web" / "dist"
SCRIPT, BINARY = "ort.wasm.bundle.min.mjs", "ort-wasm-simd-threaded.wasm"


def web_page(card: dict[str, object], model: bytes) -> str:
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
    # In one pass: a label can look like a place in the page.
    return re.sub(r"\{\{([A-Z]+)\}\}", lambda place: parts[place[1]], PAGE.read_text(encoding="utf-8"))


def _runtime(name: str) -> bytes:
    try:
        return read_regular(RUNTIME / name)
    except OSError as error:
        raise ModelError(
            "export.targets: web needs ONNX Runtime for the web, which is not installed",
            "run `make web` in the checkout of secateur (needs npm), or remove the target",
        ) from error
