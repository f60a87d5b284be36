"""The language of OmegaConf in the values of a spec: `???` for a missing value, `${key}` and `${oc.env:NAME}`.

TAO reads its YAML files with OmegaConf. See docs/decisions/spec-releases.md.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from copy import deepcopy
from typing import Any

from secateur.errors import SpecError
from secateur.spec.notices import Notice
from secateur.spec.spec_text import KEYS, MAX_DEPTH, MAX_TEXT_CHARACTERS, Budget, SpecText, named
from secateur.spec.variables import HINT, POINTERS, refuse_variables_of_key, variable

MISSING = "???"
ENVIRONMENT = ("oc.env", "env")
# The innermost `${...}`; a backslash before it makes it plain text.
REFERENCE = re.compile(r"(\\?)\$\{([^${}]*)\}")
INDEX = re.compile("[0-9]{1,6}")
KEY_HINT = "write env:NAME or file:PATH; in a passphrase, write \\${ for ${"
# References to references: real specs have one.
MAX_ROUNDS = 20


def resolve(parsed: SpecText) -> None:
    """Replace the references in all values, and remove the values `???`.

    A missing value is an error only where it is needed, as in TAO; a notice names it.

    Raises:
        SpecError: a reference names a key or a variable that does not exist, or refers to itself.
    """
    if parsed.form == "proto":
        return
    budget = Budget(parsed.name)
    # A reference to a section puts its references here, so one pass is not enough.
    for _ in range(MAX_ROUNDS):
        open_texts = [entry for entry in _texts(parsed.values, "") if _is_open(entry[0][entry[1]])]
        for holder, key, path in open_texts:
            holder[key] = _resolved(parsed, holder[key], path)
            # Counted at once: sections that refer to each other can double with each reference.
            _spend(budget, holder[key], path.count("."))
        if not open_texts:
            break
    else:
        raise SpecError(f"{parsed.name}: the references in it have no end", "write the values themselves")
    for holder, key, _ in _texts(parsed.values, ""):
        holder[key] = REFERENCE.sub(lambda match: match[0].removeprefix("\\"), holder[key])
    for holder, key, path in list(_texts(parsed.values, "")):
        if holder[key] == MISSING and isinstance(holder, dict):
            del holder[key]
            parsed.notices.append(Notice("missing", named(path), "has no value (???)"))
    refuse_variables_of_key(parsed, (parsed.values.get(key) for key in KEYS))


def _spend(budget: Budget, value: Any, depth: int) -> None:
    """Count a value and all that is in it. Raises SpecError if it is too much, or too deep below its place."""
    if depth > MAX_DEPTH:
        raise SpecError(f"{budget.name}: nested too deeply", "write fewer references to sections")
    budget.spend(value)
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        _spend(budget, inner, depth + 1)


def _refused(parsed: SpecText, path: str, text: str, hint: str) -> SpecError:
    """An error about a reference. A passphrase can look like one: nothing of it is shown."""
    if named(f"{path}.") in KEYS:
        text, hint = "it has a reference that leads nowhere", KEY_HINT
    return SpecError(f"{parsed.place(path)}: {text}", hint)


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
            raise _refused(parsed, path, f"{found[0]} is a section, not a value", "write the whole path of a key")
        text = text[: found.start()] + str(value) + text[found.end() :]
        if len(text) > MAX_TEXT_CHARACTERS:
            break
    raise _refused(parsed, path, "the references in it have no end", "write the value itself")


def _referred(parsed: SpecText, reference: str, path: str) -> Any:
    """The value of one reference, without `${` and `}`."""
    kind, colon, name = reference.partition(":")
    if colon and kind.strip() in ENVIRONMENT:
        return _variable(parsed, name, path)
    if colon:
        raise _refused(parsed, path, f"'{kind}:' is not known here", "use ${section.key} or ${oc.env:NAME}")
    parts = re.findall(r"[^.\[\]]+", _absolute(reference, path))
    absolute = ".".join(parts)
    value = _found(parsed, parts, path)
    if not absolute or path.startswith(f"{absolute}.") or path == absolute:
        raise _refused(parsed, path, f"{absolute or 'the reference'} refers to itself", "write the value")
    if value == MISSING:
        raise _refused(parsed, path, f"{absolute} has no value (???)", f"give {absolute} a value")
    if parts[0] in KEYS and path not in KEYS and not str(value).startswith(POINTERS):
        raise SpecError(f"{parsed.place(path)}: the key would stand in reports and models", HINT)
    return value


def _found(parsed: SpecText, parts: list[str], path: str) -> Any:
    value: Any = parsed.values
    for part in parts:
        if isinstance(value, dict) and part in value:
            value = value[part]
        elif isinstance(value, list) and INDEX.fullmatch(part) and int(part) < len(value):
            value = value[int(part)]
        else:
            raise _refused(parsed, path, f"there is no key {named('.'.join(parts))} in the file", "write the value")
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
    value = variable(parsed, name, path, parsed.place(path))
    if value is not None:
        return value
    if comma:
        plain = default.strip("'\"")
        return None if plain == "null" else plain
    raise _refused(parsed, path, f"the environment variable {name} is not set", f"export {name}=...")
