"""The language of OmegaConf in the values of a spec: `???` for a missing value, `${key}` and `${oc.env:NAME}`.

TAO reads its YAML files with OmegaConf. See docs/decisions/spec-releases.md.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from copy import deepcopy
from typing import Any

from secateur.errors import SpecError
from secateur.spec.notices import Notice
from secateur.spec.spec_text import MAX_VALUES, SpecText

MISSING = "???"
ENVIRONMENT = ("oc.env", "env")
# The innermost `${...}`; a backslash before it makes it plain text.
REFERENCE = re.compile(r"(\\?)\$\{([^${}]*)\}")
# References to references, and characters of a value: real specs have one and a hundred.
MAX_ROUNDS = 20
MAX_CHARACTERS = 10_000


def resolve(parsed: SpecText) -> None:
    """Replace the references in all values, and remove the values `???`.

    A missing value is an error only where it is needed, as in TAO; a notice names it.

    Raises:
        SpecError: a reference names a key or a variable that does not exist, or refers to itself.
    """
    if parsed.form == "proto":
        return
    copied = 0
    # A reference to a section puts its references here, so one pass is not enough.
    for _ in range(MAX_ROUNDS):
        open_texts = [entry for entry in _texts(parsed.values, "") if _is_open(entry[0][entry[1]])]
        for holder, key, path in open_texts:
            holder[key] = _resolved(parsed, holder[key], path)
            # Counted at once: sections that refer to each other can double with each reference.
            copied += sum(1 for _ in _texts({"": holder[key]}, ""))
            if copied > MAX_VALUES:
                raise SpecError(f"{parsed.name}: more than {MAX_VALUES} values", "write fewer references to sections")
        if not open_texts:
            break
    else:
        raise SpecError(f"{parsed.name}: the references in it have no end", "write the values themselves")
    for holder, key, _ in _texts(parsed.values, ""):
        holder[key] = REFERENCE.sub(lambda match: match[0].removeprefix("\\"), holder[key])
    for holder, key, path in list(_texts(parsed.values, "")):
        if holder[key] == MISSING and isinstance(holder, dict):
            del holder[key]
            parsed.notices.append(Notice("missing", path, "has no value (???)"))


def _is_open(text: str) -> bool:
    return any(not match[1] for match in REFERENCE.finditer(text))


def _texts(value: Any, path: str) -> Iterator[tuple[Any, Any, str]]:
    """Every text: its holder, its key in the holder, and its dotted path."""
    entries = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in entries:
        dotted = f"{path}.{key}" if path else str(key)
        if isinstance(inner, str):
            yield value, key, dotted
        else:
            yield from _texts(inner, dotted)


def _resolved(parsed: SpecText, text: str, path: str) -> Any:
    for _ in range(MAX_ROUNDS):
        found = next((match for match in REFERENCE.finditer(text) if not match[1]), None)
        if found is None:
            return text
        value = _referred(parsed, found[2].strip(), path)
        if found[0] == text and not isinstance(value, str):
            return deepcopy(value)
        if isinstance(value, dict | list):
            raise SpecError(
                f"{parsed.at(path)}: {path}: {found[0]} is a section, not a value", "write the whole path of a key"
            )
        text = text[: found.start()] + str(value) + text[found.end() :]
        if len(text) > MAX_CHARACTERS:
            break
    raise SpecError(f"{parsed.at(path)}: {path}: the references in it have no end", "write the value itself")


def _referred(parsed: SpecText, reference: str, path: str) -> Any:
    """The value of one reference, without `${` and `}`."""
    kind, colon, name = reference.partition(":")
    if colon and kind.strip() in ENVIRONMENT:
        return _variable(parsed, name, path)
    if colon:
        raise SpecError(
            f"{parsed.at(path)}: {path}: '{kind}:' is not known here", "use ${section.key} or ${oc.env:NAME}"
        )
    absolute = _absolute(reference, path)
    value: Any = parsed.values
    for part in re.findall(r"[^.\[\]]+", absolute):
        if isinstance(value, dict) and part in value:
            value = value[part]
        elif isinstance(value, list) and part.isdigit() and int(part) < len(value):
            value = value[int(part)]
        else:
            raise SpecError(f"{parsed.at(path)}: {path}: there is no key {absolute} in the file", "write the value")
    if path.startswith(f"{absolute}.") or path == absolute:
        raise SpecError(f"{parsed.at(path)}: {path}: {absolute} refers to itself", "write the value")
    if value == MISSING:
        raise SpecError(f"{parsed.at(path)}: {path}: {absolute} has no value (???)", f"give {absolute} a value")
    return value


def _absolute(reference: str, path: str) -> str:
    """A relative reference begins with dots: one for the section of the key, one more for each section above."""
    name = reference.lstrip(".")
    dots = len(reference) - len(name)
    if not dots:
        return name
    sections = path.split(".")[:-dots]
    return ".".join([*sections, name])


def _variable(parsed: SpecText, text: str, path: str) -> str | None:
    name, comma, default = (part.strip() for part in text.partition(","))
    if name in os.environ:
        return os.environ[name]
    if comma:
        plain = default.strip("'\"")
        return None if plain == "null" else plain
    raise SpecError(f"{parsed.at(path)}: {path}: the environment variable {name} is not set", f"export {name}=...")
