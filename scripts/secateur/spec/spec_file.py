"""Read a spec file of any form, told apart by its content: YAML, the JSON of TAO's API, or a text proto of TF1.

See docs/decisions/spec-releases.md.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

from secateur.errors import SpecError
from secateur.spec.interpolation import resolve
from secateur.spec.notices import Notice
from secateur.spec.spec_text import MAX_FILE_BYTES, SpecText
from secateur.spec.text_protos import SECTIONS_OF_TF1, parse_proto
from secateur.spec.yaml_file import parse_yaml
from secateur.storage.regular_files import open_given

# The first word of a text proto opens a message, which is not possible in a YAML mapping.
OPENS_MESSAGE = re.compile(r"[A-Za-z_]\w*\s*[{<]")
# With a colon the same text can be a flow mapping of YAML.
OPENS_EITHER = re.compile(rf"({'|'.join(SECTIONS_OF_TF1)})\s*:\s*[{{<]")
SKIPPED = re.compile(r"(?:\s+|#[^\n]*)*")
# An escape of JSON; with groups, two of them that are one character.
ESCAPES = re.compile(r"\\(?:u([dD][89abAB][0-9a-fA-F]{2})\\u([dD][c-fC-F][0-9a-fA-F]{2})|.)")
PROTO_SUFFIXES = (".cfg", ".txt", ".prototxt", ".pbtxt", ".config")
YAML_SUFFIXES = (".yaml", ".yml")

Reader = Callable[[str, str], SpecText]


def read_spec_text(path: Path | str) -> SpecText:
    """Parse a file.

    Raises:
        SpecError: the file cannot be read, or is none of the three forms; the message names the line.
    """
    try:
        with open_given(path) as stream:
            content = stream.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise SpecError(f"cannot read the spec {path}: {error.strerror or error}", "check the path") from error
    return parse_spec_text(content, str(path))


def parse_spec_text(content: bytes | str, name: str) -> SpecText:
    """Parse the content of a file; `name` replaces the path in errors. Raises as `read_spec_text` does."""
    if len(content) > MAX_FILE_BYTES:
        raise SpecError(f"{name}: larger than {MAX_FILE_BYTES} bytes", "a spec is a few kilobytes; check the path")
    parsed = _parsed(content, name)
    resolve(parsed)
    return parsed


def _parsed(content: bytes | str, name: str) -> SpecText:
    text = content.decode("utf-8-sig", "replace") if isinstance(content, bytes) else content.removeprefix("\ufeff")
    start = SKIPPED.sub("", text, count=1)
    if OPENS_MESSAGE.match(start):
        _require_utf8(content, name)
        return parse_proto(text, name)
    if start.startswith("{") and _is_json(text):
        # JSON is YAML except for its tabs, which are blanks there, and for characters such as an emoji, which it can
        # write as two escapes. The YAML reader knows the lines.
        parsed = parse_yaml(ESCAPES.sub(_joined, text.replace("\t", " ")), name)
        parsed.form = "json"
        return _default_of_schema(parsed)
    if OPENS_EITHER.match(start):
        return _either(text, name)
    if Path(name).suffix.lower() in PROTO_SUFFIXES:
        # A proto of another task can begin with a scalar, as YAML does.
        return _first_that_parses(text, name, lambda text, name: parse_yaml(content, name), parse_proto)
    return parse_yaml(content, name)


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def _require_utf8(content: bytes | str, name: str) -> None:
    try:
        content.encode() if isinstance(content, str) else content.decode()
    except UnicodeError:
        raise SpecError(f"{name}: not UTF-8 text", "save the file as UTF-8 text") from None


def _joined(pair: re.Match[str]) -> str:
    if not pair[1]:
        return pair[0]
    high, low = int(pair[1], 16), int(pair[2], 16)
    return chr(0x10000 + ((high & 0x3FF) << 10) + (low & 0x3FF))


def _default_of_schema(parsed: SpecText) -> SpecText:
    """The spec in the service's answer to the question for a schema; any other spec unchanged."""
    default = parsed.values.get("default")
    if isinstance(default, dict) and "properties" in parsed.values:
        parsed.values = default
        parsed.lines = {path.removeprefix("default."): line for path, line in parsed.lines.items()}
    return parsed


def _either(text: str, name: str) -> SpecText:
    """A file such as `model_config: { n_layers: 18 }`, which can be YAML and a text proto."""
    suffix = Path(name).suffix.lower()
    if suffix in YAML_SUFFIXES:
        return _first_that_parses(text, name, parse_yaml, parse_proto)
    parsed = _first_that_parses(text, name, parse_proto, parse_yaml)
    if parsed.form == "proto" and suffix not in PROTO_SUFFIXES and _parses_as_yaml(text, name):
        parsed.notices.append(
            Notice("warning", "", "the file can be a text proto and YAML; it is read as a text proto (TF1)")
        )
    return parsed


def _first_that_parses(text: str, name: str, first: Reader, second: Reader) -> SpecText:
    """The result of the first reader that takes the text. If none does, the error is that of the first."""
    try:
        return first(text, name)
    except SpecError as error:
        try:
            return second(text, name)
        except SpecError:
            raise error from None


def _parses_as_yaml(text: str, name: str) -> bool:
    try:
        parse_yaml(text, name)
    except SpecError:
        return False
    return True
