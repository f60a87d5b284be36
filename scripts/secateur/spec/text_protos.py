"""Read text protos, the spec files of TAO's TF1 releases, as keys of V0: docs/decisions/spec-releases.md."""

from __future__ import annotations

import re
from typing import Any

from google.protobuf import text_format

from secateur.errors import SpecError

# Messages whose name is a choice: `optimizer { sgd { ... } }` is `optim_config: {optimizer: sgd, ...}` in V1.
CHOICES = {"optimizer": ("optim_config", "optimizer"), "lr_config": ("lr_config", "scheduler")}
BGR = ("b", "g", "r")
GRAY = "l"
MAX_DEPTH = 20
MESSAGE = re.compile(r"^\s*[A-Za-z_]\w*\s*\{", re.MULTILINE)


def looks_like_proto(text: str) -> bool:
    """Whether a file is a text proto and not YAML: a line opens a message, which is not possible in a YAML mapping."""
    return MESSAGE.search(text) is not None


def read_proto(text: str, name: str) -> dict[str, Any]:
    """The content of a text proto as sections and keys of V0.

    Args:
        text: of the file.
        name: of the file, for errors.

    Raises:
        SpecError: the text is not a text proto; the message names the line.
    """
    tokens = text_format.Tokenizer(text.splitlines())
    try:
        values = _message(tokens, end="", depth=0)
    except text_format.ParseError as error:
        line = error.GetLine() or "?"
        raise SpecError(f"{name}:{line}: not a text proto: {_reason(error)}", "correct the line") from None
    train = values.get("train_config")
    if isinstance(train, dict):
        _choose(train, name)
        _mean(train, name)
    return values


def _reason(error: text_format.ParseError) -> str:
    return str(error).rpartition(": ")[2]


def _message(tokens: text_format.Tokenizer, end: str, depth: int) -> dict[str, Any]:
    """The fields up to `end`; a repeated field becomes a list."""
    if depth > MAX_DEPTH:
        raise tokens.ParseError("nested too deeply")
    fields: dict[str, Any] = {}
    while not (tokens.TryConsume(end) if end else tokens.AtEnd()):
        if tokens.AtEnd():
            raise tokens.ParseError(f"no {end} at the end")
        key = tokens.ConsumeIdentifier()
        tokens.TryConsume(":")
        value = _value(tokens, depth)
        if key in fields:
            before = fields[key] if isinstance(fields[key], list) else [fields[key]]
            value = [*before, *(value if isinstance(value, list) else [value])]
        fields[key] = value
        tokens.TryConsume(",") or tokens.TryConsume(";")
    return fields


def _value(tokens: text_format.Tokenizer, depth: int) -> Any:
    for start, end in (("{", "}"), ("<", ">")):
        if tokens.TryConsume(start):
            return _message(tokens, end, depth + 1)
    if tokens.TryConsume("["):
        return _list(tokens, depth)
    return _scalar(tokens)


def _list(tokens: text_format.Tokenizer, depth: int) -> list[Any]:
    found: list[Any] = []
    while not tokens.TryConsume("]"):
        found.append(_value(tokens, depth + 1))
        tokens.TryConsume(",")
    return found


def _scalar(tokens: text_format.Tokenizer) -> Any:
    if tokens.token[:1] in ("'", '"'):
        return tokens.ConsumeString()
    for read in (tokens.ConsumeInteger, tokens.ConsumeFloat):
        try:
            return read()
        except text_format.ParseError:
            continue
    word = tokens.ConsumeIdentifier()
    return {"true": True, "false": False}.get(word.lower(), word)


def _choose(train: dict[str, Any], name: str) -> None:
    for old, (new, key) in CHOICES.items():
        holder = train.pop(old, None)
        if not isinstance(holder, dict):
            continue
        if len(holder) != 1 or not isinstance(next(iter(holder.values())), dict):
            raise SpecError(f"{name}: train_config.{old} must hold one message", f"keep one below {old}")
        ((chosen, options),) = holder.items()
        train[new] = {key: chosen, **options}


def _mean(train: dict[str, Any], name: str) -> None:
    """Turn the three messages `image_mean { key: 'b' value: 103.9 }` into a list in BGR order."""
    entries = train.pop("image_mean", None)
    if entries is None:
        return
    pairs = entries if isinstance(entries, list) else [entries]
    try:
        means = {str(pair["key"]): float(pair["value"]) for pair in pairs}
        train["image_mean"] = [means[key] for key in ((GRAY,) if GRAY in means else BGR)]
    except (KeyError, TypeError, ValueError):
        raise SpecError(f"{name}: train_config.image_mean needs b, g and r, or l", "give a value for each") from None
