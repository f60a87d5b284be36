"""The plan of the package: which module imports which."""

import ast
from collections import Counter, defaultdict
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY

PACKAGE = REPOSITORY / "scripts/secateur"
# From the top down: a package imports from those below it only. Modules of the root stand by themselves.
LAYERS = [
    "__main__", "cli", "steps", "workflow", "run", "tracking", "report", "pruning", "training", "export", "evaluation",
    "modelfile", "quantization", "byom", "zoo", "data", "keras_to_onnx", "models", "step_table", "vault", "runtime",
    "spec", "storage", "errors", "",
]  # fmt: skip
MOST_IN_THE_ROOT = 6


def module_name(path: Path) -> str:
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_name(path): path for path in PACKAGE.rglob("*.py")}


def imports_of(path: Path) -> set[str]:
    """Modules of the package that a module imports anywhere, in functions and for types too."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
            found |= {name if name in MODULES else node.module for name in names}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return {name for name in found if name in MODULES and name != "secateur"}


GRAPH = {name: imports_of(path) for name, path in MODULES.items()}


def layer(name: str) -> str:
    return name.split(".")[1] if "." in name else ""


def circle(graph: dict[str, set[str]]) -> list[str]:
    """Names of one circle; none where there is none."""
    done: set[str] = set()

    def walk(name: str, path: list[str]) -> list[str]:
        if name in path:
            return path[path.index(name) :]
        if name in done:
            return []
        for other in sorted(graph.get(name, ())):
            found = walk(other, [*path, name])
            if found:
                return found
        done.add(name)
        return []

    return next((found for name in sorted(graph) if (found := walk(name, []))), [])


def test_the_search_for_circles_finds_one():
    assert circle({"a": {"b"}, "b": {"c"}, "c": {"a"}}) == ["a", "b", "c"]
    assert circle({"a": {"b", "c"}, "b": {"c"}, "c": set()}) == []


def test_no_file_imports_itself_through_others():
    assert circle(GRAPH) == []


def test_no_package_imports_itself_through_others():
    packages = defaultdict(set)
    for name, others in GRAPH.items():
        packages[layer(name)] |= {layer(other) for other in others} - {layer(name)}
    assert circle(packages) == []


@pytest.mark.parametrize("name", sorted(GRAPH))
def test_imports_point_downwards(name):
    upwards = [other for other in GRAPH[name] if LAYERS.index(layer(other)) < LAYERS.index(layer(name))]
    assert upwards == []


def test_no_two_files_have_one_name():
    names = Counter(path.name for path in PACKAGE.rglob("*.py") if path.name != "__init__.py")
    assert [name for name, count in names.items() if count > 1] == []


def test_few_modules_are_in_the_root():
    assert len(list(PACKAGE.glob("*.py"))) <= MOST_IN_THE_ROOT


@pytest.mark.parametrize("name", [name for name in sorted(GRAPH) if layer(name) == "workflow"])
def test_what_the_snakefile_imports_has_no_keras(name):
    """Neither by itself nor through others: a dry run must not wait for TensorFlow."""
    waiting, seen = [name], set()
    while waiting:
        module = waiting.pop()
        if module not in seen:
            seen.add(module)
            waiting += GRAPH[module]
    heavy = {"keras", "tensorflow", "jax", "onnx", "onnxruntime", "cv2", "pandas", "numpy", "PIL"}
    for module in seen:
        for node in ast.parse(MODULES[module].read_text()).body:
            if isinstance(node, ast.Import):
                assert not heavy & {alias.name.partition(".")[0] for alias in node.names}, module
            if isinstance(node, ast.ImportFrom):
                assert (node.module or "").partition(".")[0] not in heavy, module


# Modules that open files themselves, and why; all others use `storage`, where pipes, devices and links are refused.
OPENS = {
    "secateur.data.image_cache": "maps a file that is open",
    "secateur.export.bundle.predict": "runs without the package",
    "secateur.export.bundle.script": "a file of the package",
    "secateur.export.web_page": "a file of the package",
    "secateur.quantization.integers": "memory",
    "secateur.runtime.child": "/proc",
    "secateur.runtime.code_digest": "files of the package",
    "secateur.runtime.processes": "/proc",
    "secateur.steps.export_targets": "a temporary folder",
    "secateur.steps.train": "/dev/null",
    "secateur.zoo.keras_applications": "a temporary folder",
}
OPENING = ("read_bytes", "read_text", "write_bytes", "write_text", "memmap", "fromfile")


def opens(path: Path) -> bool:
    """Whether a module opens files without `storage`."""
    calls = [node.func for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]
    return any(
        (isinstance(function, ast.Name) and function.id == "open")
        or (isinstance(function, ast.Attribute) and function.attr in OPENING)
        for function in calls
    )


def test_files_are_opened_where_pipes_and_links_are_refused():
    found = {name for name, path in MODULES.items() if opens(path) and layer(name) != "storage"}
    assert found == OPENS.keys()
