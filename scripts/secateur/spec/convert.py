"""Convert a spec of any TAO release to the key names of the specification (V1), with the release's defaults."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from secateur.spec.effective import flattened
from secateur.spec.load import read_specs, typed
from secateur.spec.pytorch.pytorch_convert import converted_pytorch
from secateur.spec.pytorch.pytorch_forms import is_pytorch
from secateur.spec.spec import Spec
from secateur.spec.spec_file import read_spec_text
from secateur.spec.spec_text import SpecText
from secateur.spec.special_keys import NO_KEY
from secateur.spec.translate import to_v1
from secateur.spec.translated import Translated
from secateur.spec.yaml_text import yaml_text

KEY_FROM = "env:SECATEUR_KEY"
FLOW = (
    "results_dir",
    "key",
    "data",
    "augment",
    "model",
    "train",
    "prune",
    "retrain",
    "evaluate",
    "inference",
    "export",
)


def converted(paths: Sequence[str], overrides: Sequence[str] = (), arch: str | None = None) -> str:
    """The text of the new spec: the values of the files, each key under its name in V1, and its release's defaults.

    Defaults that are also secateur's are left out. A literal encryption key in the file is not copied: it becomes
    `env:SECATEUR_KEY`. Comments at the top list renamed keys, keys without effect, differences and warnings.

    Args:
        paths: a file, or the files of one experiment, which are joined.
        overrides: words `section.key=value` that replace values of the files.
        arch: backbone for a spec of classification_pyt, whose networks are not here.

    Raises:
        SpecError: the file cannot be read, or has a key or value that is not allowed; the message has line and key.
    """
    if len(paths) == 1:
        parsed = read_spec_text(paths[0])
        if is_pytorch(parsed.values):
            return converted_pytorch(parsed, arch)
    names = ", ".join(Path(path).name for path in paths)
    return converted_text(read_specs(paths, overrides), [f"Converted from {names}."], overrides)


def converted_text(parsed: SpecText, heading: Sequence[str], overrides: Sequence[str] = ()) -> str:
    """The text of the new spec for a parsed file. Raises SpecError as `converted` does."""
    spec = typed(parsed, overrides)
    source = to_v1(parsed, overrides)
    values = _without_own_defaults(source, spec)
    values.pop("tao", None)
    remarks = [_in_words(notice) for notice in spec.notices]
    key = values.get("key")
    if key is None and spec.plain_files:
        values["key"] = NO_KEY
    elif isinstance(key, str) and key and not key.startswith(("env:", "file:")) and key.lower() != NO_KEY:
        values["key"] = KEY_FROM
        remarks.append(f"the key was in the file and is not copied: set the variable {KEY_FROM.removeprefix('env:')}")
    release = source.found.release
    comments = {
        path: f"default of {release.in_words}" for path in spec.origins if spec.origins[path] == release.in_words
    }
    head = "".join(f"# {' '.join(line.splitlines())}\n" for line in [*heading, *remarks])
    return head + yaml_text(_escaped(_ordered(values)), comments)


def _escaped(value: Any) -> Any:
    """The values with `\\${` for `${`, which is plain text in them and would be a reference in the new file."""
    if isinstance(value, dict):
        return {name: _escaped(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_escaped(inner) for inner in value]
    return value.replace("${", "\\${") if isinstance(value, str) else value


def _in_words(notice: Any) -> str:
    if notice.kind == "renamed":
        return f"{notice.key} is now {notice.text.removeprefix('is ')}"
    return str(notice)


def _without_own_defaults(source: Translated, spec: Spec) -> dict[str, Any]:
    """The values to write: those of the file, and the defaults of its release that differ from secateur's."""
    here = flattened(Spec.model_validate({"prune": {}} if spec.prunes else {}))
    typed_values = flattened(spec)

    def kept(values: Mapping[str, Any], prefix: str) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for name, value in values.items():
            path = f"{prefix}{name}"
            if isinstance(value, dict):
                inner = kept(value, f"{path}.")
                if inner or path in source.explicit:
                    found[name] = inner
            elif value is not None and (path in source.explicit or typed_values.get(path) != here.get(path)):
                found[name] = value
        return found

    return kept(source.values, "")


def _ordered(values: dict[str, Any]) -> dict[str, Any]:
    """Top-level keys first, then the sections in the order of the flow."""
    return {name: values[name] for name in [*FLOW, *values] if name in values}
