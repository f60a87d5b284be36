"""Read spec files as plain data, with the line of every key."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from secateur.errors import SpecError

MAX_FILE_BYTES = 1 << 20
# A spec has a few hundred values; anchors that expand to more values than this are an attack or a mistake.
MAX_VALUES = 20_000
MAX_DEPTH = 100


@dataclass
class SpecText:
    """A parsed file.

    Attributes:
        name: of the file, for errors.
        values: its content as dicts, lists and scalars.
        lines: dotted path -> line number, from 1.
    """

    name: str
    values: dict[str, Any]
    lines: dict[str, int] = field(default_factory=dict)

    def at(self, dotted: str) -> str:
        """`file:line` of a key, or of its nearest parent that is in the file."""
        path = dotted
        while path and path not in self.lines:
            path = path.rpartition(".")[0]
        return f"{self.name}:{self.lines[path]}" if path else self.name


def read_spec_text(path: Path | str) -> SpecText:
    """Parse a YAML file.

    Raises:
        SpecError: the file cannot be read, is not YAML, has duplicate keys or tags, or is not a mapping.
    """
    try:
        with open(path, "rb") as stream:
            text = stream.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise SpecError(f"cannot read the spec {path}: {error.strerror or error}", "check the path") from error
    return parse_spec_text(text, str(path))


def parse_spec_text(text: bytes | str, name: str) -> SpecText:
    """Parse YAML text; `name` replaces the path in errors. Raises as `read_spec_text` does."""
    if len(text) > MAX_FILE_BYTES:
        raise SpecError(f"{name}: larger than {MAX_FILE_BYTES} bytes", "a spec is a few kilobytes; check the path")
    try:
        node = _composed(text)
        if not isinstance(node, yaml.MappingNode):
            raise SpecError(f"{name}: not a mapping of sections", "start with `model:` and its keys")
        parsed = SpecText(name, {})
        parsed.values = _Reader(parsed).read(node, "")
        return parsed
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"{name}:{mark.line + 1}" if mark else name
        problem = "" if _may_show_key(text, mark) else f": {error.problem}"
        raise SpecError(f"{where}: not valid YAML{problem}", "correct the line; YAML indents with spaces") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise SpecError(
            f"{name}: not valid YAML: {str(error).splitlines()[0]}", "save the file as UTF-8 text"
        ) from None
    except RecursionError:
        raise SpecError(f"{name}: nested too deeply", "a spec has at most four levels") from None


def _composed(text: bytes | str) -> yaml.Node | None:
    """The root node, made by libyaml, which is ten times faster; by PyYAML if libyaml is absent or finds an error.

    libyaml composes by recursion in C, where deep nesting would crash. So the depth of the events is checked first.
    """
    if yaml.__with_libyaml__:
        try:
            depth = 0
            for event in yaml.parse(text, Loader=yaml.CSafeLoader):
                depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
                if depth > MAX_DEPTH:
                    raise RecursionError
            return yaml.compose(text, Loader=yaml.CSafeLoader)
        except (yaml.YAMLError, UnicodeError):
            pass
    return yaml.compose(text, Loader=yaml.SafeLoader)


def _may_show_key(text: bytes | str, mark: Any) -> bool:
    """Whether the error is in the line of the encryption key. The text of some errors quotes the line."""
    whole = text.decode("utf-8", "replace") if isinstance(text, bytes) else text
    lines = whole.splitlines()
    return bool(mark) and mark.line < len(lines) and re.match(r"\W*(encryption_)?key\b", lines[mark.line]) is not None


class _Reader:
    """Turns nodes into plain data, keeps their lines and counts the values."""

    def __init__(self, parsed: SpecText) -> None:
        self.parsed = parsed
        self.budget = MAX_VALUES
        self.constructor = yaml.SafeLoader("")

    def read(self, node: yaml.Node, path: str) -> Any:
        self.budget -= 1
        if self.budget < 0:
            raise SpecError(f"{self.parsed.name}: more than {MAX_VALUES} values", "remove the anchors")
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path)
        if isinstance(node, yaml.SequenceNode):
            return [self.read(item, f"{path}.{index}") for index, item in enumerate(node.value)]
        return self._scalar(node)

    def _scalar(self, node: yaml.Node) -> Any:
        """The value of a node. The safe constructor refuses `!!python/object` and other tags."""
        where = f"{self.parsed.name}:{node.start_mark.line + 1}"
        try:
            value = self.constructor.construct_object(node)  # type: ignore[no-untyped-call]
        except (ValueError, OverflowError, AttributeError, KeyError, TypeError):
            raise SpecError(f"{where}: a value cannot be read", "correct or quote the value") from None
        if isinstance(value, bytes):
            raise SpecError(f"{where}: a spec has no binary values", "write words or numbers")
        return value

    def _mapping(self, node: yaml.MappingNode, path: str) -> dict[str, Any]:
        values: dict[str, Any] = {}
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            key = self._scalar(key_node) if isinstance(key_node, yaml.ScalarNode) else None
            if not isinstance(key, str):
                raise SpecError(f"{self.parsed.name}:{line}: a key must be text", "quote it")
            dotted = f"{path}.{key}" if path else key
            if key in values:
                raise SpecError(f"{self.parsed.name}:{line}: {dotted} appears twice", "remove one of them")
            self.parsed.lines.setdefault(dotted, line)
            values[key] = self.read(value_node, dotted)
        return values
