"""Digests of the code that a result depends on: a module, the modules of this package that it imports, and libraries.

Nothing is imported: the files are read and parsed. What cannot change a result does not count: comments, docstrings,
keys of the spec (their values count), printed texts, messages of errors, and the modules below.

See docs/decisions/out-of-date.md.
"""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import json
import os
import sys
from collections.abc import Collection
from contextlib import suppress
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

NAME = "secateur"
PACKAGE = Path(__file__).parents[1]
# Modules, and packages with all their modules, that cannot change a result.
COSMETIC = {
    "secateur.errors": "texts and exit codes of errors",
    "secateur.run": "paths of files; the rules name the same paths",
    "secateur.step_table": "names and help of the steps",
    "secateur.workflow": "when a step runs, and on which files",
    "secateur.steps.context": "locks and folders of a step",
    "secateur.storage.atomic": "how a file is written, not its content",
    "secateur.storage.locks": "who writes first",
    "secateur.storage.status_log": "messages for people and for TAO's tools",
    "secateur.vault": "how a file is encrypted, not its content",
    "secateur.runtime.code_digest": "this module: which results are out of date, not their content",
    "secateur.runtime.gpu": "which device a step gets",
    "secateur.runtime.signals": "how a step is stopped",
    "secateur.runtime.quiet": "what libraries print",
    "secateur.runtime.threads": "how many threads a step computes with",
    "secateur.runtime.import_hooks": "how long an import takes",
    "secateur.spec.load": "it makes the values of the spec, and these count",
    "secateur.spec.convert": "as load",
    **dict.fromkeys(
        (
            f"secateur.spec.{name}"
            for name in (
                "spec_file",
                "spec_text",
                "yaml_file",
                "text_protos",
                "interpolation",
                "translate",
                "translated",
                "spec_overrides",
                "special_keys",
                "tao_keys",
                "tao_releases",
                "release_defaults",
                "joining",
                "pytorch",
            )
        ),
        "as load",
    ),
    "secateur.spec.differences": "words",
    "secateur.spec.yaml_text": "a spec as text",
    "secateur.spec.notices": "words",
    "secateur.spec.effective": "a spec as text",
    "secateur.spec.effects": "which results are out of date, not their content",
    "secateur.spec.fields": "as effects; types act through the values, and these count",
    "secateur.training.progress": "the progress line",
    "secateur.tracking": "curves for other programs; they cannot change a training",
}
# Code of pages counts only for steps that write a page: a model does not depend on the layout of a page.
PAGES = ("secateur.report",)
# Libraries that compute -> the packages that install them. A new version makes results out of date.
LIBRARIES = {
    "PIL": ("pillow",),
    "ai_edge_litert": ("ai-edge-litert",),
    "cv2": ("opencv-python-headless",),
    "imagehash": ("ImageHash",),
    "keras": ("keras", "tensorflow"),
    "numpy": ("numpy",),
    "onnx": ("onnx",),
    "onnxruntime": ("onnxruntime", "onnxruntime-gpu"),
    "openvino": ("openvino",),
    "scipy": ("scipy",),
    "sklearn": ("scikit-learn",),
    "tensorflow": ("tensorflow",),
    "tf2onnx": ("tf2onnx",),
}
CACHE = "code_digests.json"
# What makes a key of a section of the spec.
KEY_MAKERS = ("spec_key", "no_effect", "Field")


def code_digest(module: str, without: Collection[str] = (), pages: bool = False) -> str:
    """The digest of all code that a module's results depend on.

    Args:
        module: dotted name, such as `secateur.steps.train`.
        without: more modules or packages that do not count, because the spec does not use them.
        pages: whether the code of pages counts.
    """
    return _digest(module, tuple(sorted(without)), pages)


@lru_cache
def _digest(module: str, without: tuple[str, ...], pages: bool) -> str:
    modules = closure(module, without, pages)
    sources = _sources()
    parts = {name: sources[name]["digest"] for name in modules}
    found = {"code": parts, "libraries": libraries(modules)}
    return hashlib.sha256(json.dumps(found, sort_keys=True).encode()).hexdigest()[:16]


def closure(module: str, without: Collection[str] = (), pages: bool = False) -> list[str]:
    """The sorted names of a module and of all modules of this package that it imports, directly or through others."""
    left_out = [*COSMETIC, *without, *(() if pages else PAGES)]
    # The package's own __init__ holds only the version number; real changes are in the modules.
    sources = _sources()
    found: set[str] = set()
    waiting = [module]
    while waiting:
        name = waiting.pop()
        if name in found or name == NAME or name not in sources or any(_is_below(name, other) for other in left_out):
            continue
        found.add(name)
        waiting += sources[name]["imports"]
    return sorted(found)


def imports_of(module: str) -> list[str]:
    """Names of the modules of this package that a module imports itself."""
    return list(_sources()[module]["imports"])


def libraries(modules: Collection[str]) -> dict[str, str]:
    """Name -> version of the computing libraries that these modules import."""
    sources = _sources()
    imported = {package for name in modules for package in sources[name]["packages"]}
    wanted = {package for name in imported for package in LIBRARIES.get(name, ())}
    return {package: number for package in sorted(wanted) if (number := _version(package))}


@lru_cache
def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def _is_below(name: str, other: str) -> bool:
    return name == other or name.startswith(f"{other}.")


@lru_cache
def _sources() -> dict[str, dict[str, Any]]:
    """Dotted name -> `digest`, `imports` and `packages` of every module; stored in Python's cache folder."""
    cache = _cache_path()
    kept = _read_cache(cache)
    found, changed = {}, False
    for path in sorted(PACKAGE.rglob("*.py")):
        name = _name_of(path)
        entry = kept.get(name)
        if entry is None or entry["stamps"] != _stamps(path, entry["stamps"]):
            entry, changed = _read(path, name), True
        found[name] = entry
    if changed or len(kept) != len(found):
        _write_cache(cache, found)
    return found


def _stamps(path: Path, names: Collection[str]) -> dict[str, list[int]]:
    """The size and time of a module and of its data files, by their paths below the module's folder."""
    found = {}
    for name in names:
        with suppress(OSError):
            about = (path.parent / name).stat()
            found[name] = [about.st_size, about.st_mtime_ns]
    return found


def _name_of(path: Path) -> str:
    parts = (NAME, *path.relative_to(PACKAGE).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _read(path: Path, name: str) -> dict[str, Any]:
    tree = ast.parse(path.read_bytes())
    imports, packages = _imports(tree, name, path.name == "__init__.py")
    digest = hashlib.sha256(ast.dump(_Meaning().visit(tree)).encode())
    beside = _data_files(path)
    for data in beside:
        digest.update(data.read_bytes())
    return {
        "stamps": _stamps(path, [str(file.relative_to(path.parent)) for file in (path, *beside)]),
        "digest": digest.hexdigest()[:16],
        "imports": sorted(imports),
        "packages": sorted(packages),
    }


def _imports(tree: ast.Module, name: str, is_package: bool) -> tuple[set[str], set[str]]:
    """The modules of this package, and the top-level names of other packages, that a module imports anywhere."""
    own: set[str] = set()
    others: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parts = name.split(".")[: len(name.split(".")) - node.level + is_package]
                base = ".".join([*parts, *([base] if base else [])])
            names = [base, *(f"{base}.{alias.name}" for alias in node.names)]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        else:
            continue
        for found in names:
            top = found.partition(".")[0]
            if top != NAME:
                others.add(top)
            elif _is_module(found):
                own.add(found)
    return own, others


def _is_module(name: str) -> bool:
    """Whether a dotted name is a module of this package, and not a name inside a module."""
    path = PACKAGE.joinpath(*name.split(".")[1:])
    return path.with_suffix(".py").is_file() or (path / "__init__.py").is_file()


class _Meaning(ast.NodeTransformer):
    """Removes from a syntax tree what cannot change a result."""

    def visit_Expr(self, node: ast.Expr) -> ast.AST | None:
        """Remove docstrings and calls of print."""
        if isinstance(node.value, ast.Constant):
            return None
        call = node.value
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "print":
            return None
        return self.generic_visit(node)

    def visit_Raise(self, node: ast.Raise) -> ast.AST:
        """Remove the texts of errors."""
        if isinstance(node.exc, ast.Call):
            node.exc.args, node.exc.keywords = [], []
        return self.generic_visit(node)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST | None:
        """Remove keys of the spec: their values count instead."""
        call = node.value
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id in KEY_MAKERS:
            return None
        return self.generic_visit(node)


def _data_files(path: Path) -> list[Path]:
    """The data files beside a module that its code names: a page, a script that is copied, a folder of templates."""
    words = path.read_text(encoding="utf-8")
    found: list[Path] = []
    for beside in sorted(path.parent.iterdir()):
        if f'"{beside.name}"' not in words or beside == path or (beside / "__init__.py").exists():
            continue
        if beside.name == "__pycache__":  # a module can name it as a folder that is no data
            continue
        found += sorted(file for file in beside.rglob("*") if file.is_file()) if beside.is_dir() else [beside]
    return found


def _cache_path() -> Path:
    return Path(importlib.util.cache_from_source(str(PACKAGE / "__init__.py"))).with_name(CACHE)


def _read_cache(path: Path) -> dict[str, dict[str, Any]]:
    """The stored digests of the same code and the same Python; another Python writes syntax trees differently."""
    try:
        kept = json.loads(path.read_bytes())
        return dict(kept["modules"]) if kept["made_by"] == _maker() else {}
    except (OSError, ValueError, KeyError, TypeError):
        return {}


@lru_cache
def _maker() -> list[str]:
    return [sys.version, hashlib.sha256(Path(__file__).read_bytes()).hexdigest()]


def _write_cache(path: Path, found: dict[str, dict[str, Any]]) -> None:
    """Store the digests. If the folder cannot be written, the next run computes them again."""
    part = path.with_name(f"{CACHE}.{os.getpid()}")
    with suppress(OSError):
        path.parent.mkdir(exist_ok=True)
        part.write_text(json.dumps({"made_by": _maker(), "modules": found}))
        os.replace(part, path)
