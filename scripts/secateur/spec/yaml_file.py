"""Read YAML as plain data, with the line of every key."""

from __future__ import annotations

from typing import Any

import yaml

from secateur.errors import SpecError
from secateur.spec.spec_text import KEYS, MAX_DEPTH, Budget, SpecText, joined_path, named, plain_value

MERGE = "tag:yaml.org,2002:merge"
TEXT = "tag:yaml.org,2002:str"
# PyYAML reads 30 kB in a second. Real specs have a few.
MAX_OF_PYYAML = 1 << 16
# The time to make a number from its digits grows with their square.
MAX_NUMBER_CHARACTERS = 1000


def parse_yaml(text: bytes | str, name: str) -> SpecText:
    """Parse YAML text; `name` replaces the path in errors.

    Raises:
        SpecError: the text is not YAML, has duplicate keys or tags, or is not a mapping.
    """
    node = _root(text, name)
    if not isinstance(node, yaml.MappingNode):
        raise SpecError(f"{name}: not a mapping of sections", "start with `model:` and its keys")
    parsed = SpecText(name, {})
    parsed.values = _Reader(parsed).read(node, "", 0)
    return parsed


def yaml_value(text: str, name: str) -> Any:
    """The value of any YAML text; None for an empty one. Raises SpecError as `parse_yaml` does."""
    node = _root(text, name)
    return None if node is None else _Reader(SpecText(name, {})).read(node, "", 0)


def _root(text: bytes | str, name: str) -> yaml.Node | None:
    """The root node. An error has libyaml's words, which quote nothing of the file: it can be a part of the key."""
    try:
        return _composed(text)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"{name}:{mark.line + 1}" if mark else name
        problem = f": {error.problem}" if yaml.__with_libyaml__ else ""
        raise SpecError(f"{where}: not valid YAML{problem}", "correct the line; YAML indents with spaces") from None
    except yaml.reader.ReaderError as error:
        before = text[: error.position]
        line = (before.count(b"\n") if isinstance(before, bytes) else before.count("\n")) + 1
        raise SpecError(
            f"{name}:{line}: not valid YAML: a character that no text has", "remove it; save the file as UTF-8 text"
        ) from None
    except (yaml.YAMLError, UnicodeError, ValueError):
        raise SpecError(f"{name}: not valid YAML", "save the file as UTF-8 text") from None
    except RecursionError:
        raise SpecError(f"{name}: nested too deeply", "a spec has at most four levels") from None


def _composed(text: bytes | str) -> yaml.Node | None:
    """The root node, made by libyaml, which is ten times faster; by PyYAML if libyaml is absent.

    PyYAML also knows some words that libyaml refuses, such as other directives. It reads them in a small file.
    libyaml composes by recursion in C, where deep nesting would crash. So the depth of the events is checked first.
    """
    if not yaml.__with_libyaml__:
        return yaml.compose(text, Loader=yaml.SafeLoader)
    try:
        depth = 0
        for event in yaml.parse(text, Loader=yaml.CSafeLoader):
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if depth > MAX_DEPTH:
                raise RecursionError
        return yaml.compose(text, Loader=yaml.CSafeLoader)
    except (yaml.YAMLError, UnicodeError):
        if len(text) > MAX_OF_PYYAML:
            raise
        try:
            return yaml.compose(text, Loader=yaml.SafeLoader)
        except (yaml.YAMLError, UnicodeError, ValueError):
            pass
        raise


class _Reader:
    """Turns nodes into plain data, keeps their lines and counts the values."""

    def __init__(self, parsed: SpecText) -> None:
        self.parsed = parsed
        self.budget = Budget(parsed.name)
        self.constructor = yaml.SafeLoader("")

    def read(self, node: yaml.Node, path: str, depth: int) -> Any:
        self.budget.spend(node.value)
        if depth > MAX_DEPTH:
            # An anchor can hold itself.
            raise SpecError(f"{self.parsed.name}: nested too deeply", "remove the anchors")
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path, depth)
        if isinstance(node, yaml.SequenceNode):
            return [self.read(item, f"{path}.{index}", depth + 1) for index, item in enumerate(node.value)]
        return self._scalar(node)

    def _scalar(self, node: yaml.Node) -> Any:
        """The value of a node. The safe constructor refuses `!!python/object` and other tags."""
        where = f"{self.parsed.name}:{node.start_mark.line + 1}"
        if node.tag != TEXT and len(node.value) > MAX_NUMBER_CHARACTERS:
            raise SpecError(f"{where}: the number has too many digits", "quote a text that looks like a number")
        try:
            value = self.constructor.construct_object(node)  # type: ignore[no-untyped-call]
        except yaml.YAMLError:
            raise SpecError(f"{where}: not valid YAML: a tag that a spec cannot have", "remove the `!`") from None
        except (ValueError, ArithmeticError, AttributeError, LookupError, TypeError):
            raise SpecError(f"{where}: a value cannot be read", "correct or quote the value") from None
        return plain_value(value, where)

    def _mapping(self, node: yaml.MappingNode, path: str, depth: int) -> dict[str, Any]:
        values: dict[str, Any] = {}
        merged: dict[str, Any] = {}
        before = ""
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            if key_node.tag == MERGE:
                merged = {**self._merged(value_node, path, line, depth + 1), **merged}
                continue
            key = self._scalar(key_node) if isinstance(key_node, yaml.ScalarNode) else None
            if not isinstance(key, str):
                raise SpecError(f"{self.parsed.name}:{line}: a key must be text", "quote it")
            dotted = joined_path(path, key, f"{self.parsed.name}:{line}")
            if not path and before in KEYS and _is_rest(key_node, value_node):
                raise SpecError(f"{self.parsed.name}:{line}: {before}: it has a comma", "quote the passphrase")
            if key in values:
                raise SpecError(f"{self.parsed.name}:{line}: {named(dotted)} appears twice", "remove one of them")
            self.parsed.lines.setdefault(dotted, line)
            before = key
            values[key] = self.read(value_node, dotted, depth + 1)
        return {**merged, **values}

    def _merged(self, node: yaml.Node, path: str, line: int, depth: int) -> dict[str, Any]:
        """The mapping, or the mappings of which the first counts, that `<<` puts in."""
        nodes = node.value if isinstance(node, yaml.SequenceNode) else [node]
        if not all(isinstance(part, yaml.MappingNode) for part in nodes):
            raise SpecError(f"{self.parsed.name}:{line}: << needs a mapping", "give the anchor of a mapping")
        values: dict[str, Any] = {}
        for part in reversed(nodes):
            values |= self.read(part, path, depth)
        return values


def _is_rest(key: yaml.Node, value: yaml.Node) -> bool:
    """Whether a key is the text behind a comma, as `c` is in `{key: b, c}`: no colon and no value follow."""
    return bool(value.start_mark.index == value.end_mark.index == key.end_mark.index)
