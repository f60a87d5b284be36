"""Convert a spec of any TAO release to the key names of the specification (V1)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from secateur.errors import SpecError
from secateur.spec.load import parse_spec
from secateur.spec.tao_releases import to_v1
from secateur.spec.text_protos import looks_like_proto, read_proto
from secateur.spec.yaml_file import MAX_FILE_BYTES, SpecText, parse_spec_text

KEY_FROM = "env:SECATEUR_KEY"


def converted(path: Path | str) -> str:
    """The text of the new spec: the values of the file and nothing else, each key under its name in V1.

    A literal encryption key in the file is not copied: it becomes `env:SECATEUR_KEY`. Comments at the top list renamed
    keys, keys without effect and warnings.

    Raises:
        SpecError: the file cannot be read, or has a key or value that is not allowed; the message has line and key.
    """
    parsed = _parsed(Path(path))
    values, renamed = to_v1(parsed)
    key = values.get("key")
    literal = isinstance(key, str) and bool(key) and not key.startswith(("env:", "file:"))
    if literal:
        values["key"] = KEY_FROM
    body = yaml.safe_dump(_ordered(values), sort_keys=False, allow_unicode=True, width=120)
    notices = [*(f"{old} is now {new}" for new, old in renamed.items() if old != new), *_remarks(body, str(path))]
    if literal:
        notices.append(f"the key was in the file and is not copied: set the variable {KEY_FROM.removeprefix('env:')}")
    return "".join(f"# {line}\n" for line in [f"Converted from {Path(path).name}.", *notices]) + body


def _parsed(path: Path) -> SpecText:
    try:
        with open(path, "rb") as stream:
            content = stream.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise SpecError(f"cannot read {path}: {error.strerror}", "give the path of a spec file") from error
    text = content.decode("utf-8", "replace")
    if looks_like_proto(text) and len(content) <= MAX_FILE_BYTES:
        return SpecText(str(path), read_proto(text, str(path)))
    return parse_spec_text(content, str(path))


def _remarks(body: str, name: str) -> list[str]:
    """The notices of the loader about the new spec. Its errors name the old file."""
    return [str(notice) for notice in parse_spec(body, name).notices]


def _ordered(values: dict[str, Any]) -> dict[str, Any]:
    """Top-level keys first, then the sections in the order of the flow."""
    flow = [
        "results_dir",
        "key",
        "data",
        "augment",
        "model",
        "train",
        "prune",
        "retrain",
        "evaluate",
        "inference",
        "export",
    ]
    return {name: values[name] for name in [*flow, *values] if name in values}
