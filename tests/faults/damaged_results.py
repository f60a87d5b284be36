"""Files of a finished run, each damaged in many ways, for `test_sidecars` and for the fuzz script."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

# Whole files.
OF_FILES: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda content: b"",
    "half": lambda content: content[: len(content) // 2],
    "zeros": lambda content: bytes(len(content)),
    "{}": lambda content: b"{}",
    "[]": lambda content: b"[]",
    "null": lambda content: b"null",
    "NaN": lambda content: b"NaN",
    "deep": lambda content: b"[" * 100_000,
    "no UTF-8": lambda content: b"\xff\xfe" + content,
    "twice": lambda content: content + content,
    "first line": lambda content: content.split(b"\n")[0],
    "without the last line": lambda content: b"\n".join(content.rstrip(b"\n").split(b"\n")[:-1]) + b"\n",
}
# Single values.
ODD: tuple[Any, ...] = (None, True, -1, 0, 1e308, 10**30, "", "x", [], {}, [None], {"a": None})


def places_of(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The paths of all values below a value, itself included; of a long list only the first two."""
    yield path
    if isinstance(value, dict):
        for key, below in value.items():
            yield from places_of(below, (*path, key))
    elif isinstance(value, list):
        for index, below in enumerate(value[:2]):
            yield from places_of(below, (*path, index))


def with_value(value: Any, path: tuple[Any, ...], odd: Any) -> Any:
    """A copy in which the value at a path is another one."""
    if not path:
        return odd
    copy: Any = dict(value) if isinstance(value, dict) else list(value)
    copy[path[0]] = with_value(value[path[0]], path[1:], odd)
    return copy


def without(value: Any, path: tuple[Any, ...]) -> Any:
    """A copy without the value at a path."""
    copy: Any = dict(value) if isinstance(value, dict) else list(value)
    if len(path) == 1:
        del copy[path[0]]
    else:
        copy[path[0]] = without(value[path[0]], path[1:])
    return copy


def damages_of_json(content: bytes) -> Iterator[tuple[str, bytes]]:
    """Each value removed, and replaced by each odd one."""
    value = json.loads(content)
    for path in places_of(value):
        if path:
            yield f"no {path}", json.dumps(without(value, path)).encode()
        for odd in ODD:
            yield f"{path} = {odd!r}", json.dumps(with_value(value, path, odd)).encode()


def damages_of_csv(content: bytes) -> Iterator[tuple[str, bytes]]:
    """Each cell of the first rows replaced, and each column removed."""
    rows = [line.split(b",") for line in content.rstrip(b"\n").split(b"\n")]
    for column in range(len(rows[0])):
        yield f"no column {column}", _joined([[*row[:column], *row[column + 1 :]] for row in rows])
        for row in range(min(3, len(rows))):
            for odd in (b"", b"x", b"-1", b"1e999", b"nan", b"9" * 30, b'"', b"True", b"\0"):
                changed = [list(cells) for cells in rows]
                changed[row][column] = odd
                yield f"{row},{column} = {odd!r}", _joined(changed)


def _joined(rows: list[list[bytes]]) -> bytes:
    return b"\n".join(b",".join(cells) for cells in rows) + b"\n"


def damages(path: Path) -> list[tuple[str, bytes]]:
    """Name and content of all damaged forms of a file."""
    content = path.read_bytes()
    found = [(name, change(content)) for name, change in OF_FILES.items()]
    if path.name == "status.json":
        return found
    return [*found, *(damages_of_json(content) if path.suffix == ".json" else damages_of_csv(content))]
