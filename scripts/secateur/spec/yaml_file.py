"""Read YAML as plain data, with the line of every key."""

from __future__ import annotations

import re
from typing import Any

import yaml

from secateur.errors import SpecError
from secateur.spec.spec_text import MAX_DEPTH, MAX_INTEGER, MAX_VALUES, SpecText

MERGE = "tag:yaml.org,2002:merge"


def parse_yaml(text: bytes | str, name: str) -> SpecText:
    """Parse YAML text; `name` replaces the path in errors.

    Raises:
        SpecError: the text is not YAML, has duplicate keys or tags, or is not a mapping.
    """
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
        if isinstance(value, int) and abs(value) > MAX_INTEGER:
            raise SpecError(f"{where}: the number has too many digits", "write a smaller number")
        if isinstance(value, bytes):
            raise SpecError(f"{where}: a spec has no binary values", "write words or numbers")
        return value

    def _mapping(self, node: yaml.MappingNode, path: str) -> dict[str, Any]:
        values: dict[str, Any] = {}
        merged: dict[str, Any] = {}
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            if key_node.tag == MERGE:
                merged = {**self._merged(value_node, path, line), **merged}
                continue
            key = self._scalar(key_node) if isinstance(key_node, yaml.ScalarNode) else None
            if not isinstance(key, str):
                raise SpecError(f"{self.parsed.name}:{line}: a key must be text", "quote it")
            dotted = f"{path}.{key}" if path else key
            if key in values:
                raise SpecError(f"{self.parsed.name}:{line}: {dotted} appears twice", "remove one of them")
            self.parsed.lines.setdefault(dotted, line)
            values[key] = self.read(value_node, dotted)
        return {**merged, **values}

    def _merged(self, node: yaml.Node, path: str, line: int) -> dict[str, Any]:
        """The mapping, or the mappings of which the first counts, that `<<` puts in."""
        nodes = node.value if isinstance(node, yaml.SequenceNode) else [node]
        if not all(isinstance(part, yaml.MappingNode) for part in nodes):
            raise SpecError(f"{self.parsed.name}:{line}: << needs a mapping", "give the anchor of a mapping")
        values: dict[str, Any] = {}
        for part in reversed(nodes):
            values |= self._mapping(part, path)
        return values
