"""Write a spec as YAML with a comment behind each key."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from typing import Any

import yaml

INDENT = "  "
# Comments begin at this column, or one blank behind a longer line.
COLUMN = 52
WIDEST = 10_000


def yaml_text(values: Mapping[str, Any], comments: Mapping[str, str], prefix: str = "") -> str:
    """The YAML text of nested values.

    Args:
        values: sections and keys, in the order to write.
        comments: dotted path -> comment behind the key.
        prefix: path of `values`, with a dot at the end.
    """
    lines = []
    for name, value in values.items():
        path = f"{prefix}{name}"
        if isinstance(value, dict) and value:
            lines += [f"{name}:", textwrap.indent(yaml_text(value, comments, f"{path}."), INDENT).rstrip("\n")]
            continue
        text = _leaf(name, value)
        comment = comments.get(path)
        depth = len(INDENT) * path.count(".")
        lines.append(f"{text.ljust(COLUMN - depth)}  # {comment}" if comment else text)
    return "".join(f"{line}\n" for line in lines)


def _leaf(name: str, value: Any) -> str:
    flow = None if isinstance(value, list) else False
    return yaml.safe_dump(
        {name: value}, default_flow_style=flow, allow_unicode=True, sort_keys=False, width=WIDEST
    ).rstrip("\n")
