"""`config/README.md`: every key of the spec, generated from the models: `python -m secateur.spec.reference`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from secateur.spec.effective import flattened
from secateur.spec.release_defaults import ALL_DEFAULTS
from secateur.spec.spec import Spec
from secateur.spec.tao_keys import KEYS, SECTIONS
from secateur.spec.tao_releases import Release
from secateur.spec.train_spec import DistillSpec, RetrainSpec

INTRODUCTION = """# Configuration

`config.yaml` lists the experiments: a name, which becomes `results/<name>`, and a spec file. A list of files, such as
TAO's spec.yaml and spec_retrain.yaml, is joined to one experiment.

A spec file describes one experiment. The tables below are generated from the code (`make reference`). Unknown keys
are errors. `secateur check SPEC` prints a spec with all values and where each comes from, what was renamed and what has
no effect.
Specs of all TAO releases are read as they are; the last column has their names, and the last table their defaults.

`spec.schema.json` is for editors: with `# yaml-language-server: $schema=../spec.schema.json` as the first line of a
spec, they complete and check keys while you type.

Paths can use these words for files of the run: `EVALMODEL` is the final model, `PRUNEDMODEL` the pruned model,
`RESULTSDIR` the results folder, `EXPORTDIR` the export folder.

`retrain` takes every key of `train` and inherits what it does not set. `prune` asks for exactly one of `threshold`,
`target_macs`, `target_params`, `target_size_mb` and `target_latency_ms`; docs/pruning.md says how to choose.

## sweep

`config.yaml` can also have sweeps: one spec with lists of values. Steps that several points share run only once.

```yaml
sweep:
  sizes:                                 # becomes results/sweeps/sizes
    spec: config/specs/quickstart.yaml
    values:                              # any keys of the spec; all combinations
      prune.target_macs: [0.75, 0.5, 0.25]
    max_accuracy_drop: 0.01              # top-1 that the recommended point may lose; 0.01 is the default
```
"""


RELEASES = """
## Defaults of TAO's releases

A file in the words of another release has the defaults of that release. `secateur check` says which release a file is
of, and prints a line for each key whose default is not taken over. `tao: 5.0` in the spec, or `--tao 5.0`, chooses a
release by name: 4.0, 5.0 (to 5.3), 5.5 or 6.0. Files in the words of the tables above have the defaults above. An empty
field: the release does not have the key, or no default for it.

"""


def reference() -> str:
    """The whole page."""
    return INTRODUCTION + "".join(_section(Spec, "")) + "".join(_releases())


def _releases() -> Iterator[str]:
    releases = [release for release in ALL_DEFAULTS if release is not Release.SPECIFICATION]
    yield RELEASES
    yield f"| key | here | {' | '.join(release.value for release in releases)} |\n|---|{'---|' * (len(releases) + 1)}\n"
    here = flattened(Spec.model_validate({"prune": {}, "train": {"bn_config": {}}}))
    for path in dict.fromkeys(path for release in releases for path in ALL_DEFAULTS[release]):
        values = [ALL_DEFAULTS[release].get(path) for release in releases]
        own = "" if path.startswith("train.bn_config") else here.get(path)
        yield f"| `{path}` | {' | '.join(_shown(value) for value in (own, *values))} |\n"


def _shown(value: Any) -> str:
    return "" if value is None or value == "" else f"`{value}`"


def _section(model: type[BaseModel], prefix: str) -> Iterator[str]:
    fields = model.model_fields
    plain = {name: field for name, field in fields.items() if _nested(field.annotation) is None}
    if plain:
        yield f"\n## {prefix.rstrip('.') or 'top level'}\n"
        yield "\n| key | values | default | meaning | other names |\n|---|---|---|---|---|\n"
        for name, field in plain.items():
            yield _row(f"{prefix}{name}", name, field)
    for name, field in fields.items():
        nested = _nested(field.annotation)
        if nested is RetrainSpec:
            yield from _section(DistillSpec, "retrain.distill.")
        elif nested is not None:
            yield from _section(nested, f"{prefix}{name}.")


def _row(dotted: str, name: str, field: FieldInfo) -> str:
    meaning = field.description or ""
    values = _kind(field.annotation, _range(field.metadata))
    return f"| `{name}` | {values} | {_default(field)} | {meaning} | {', '.join(_other_names(dotted))} |\n"


def _nested(annotation: Any) -> type[BaseModel] | None:
    for part in (annotation, *get_args(annotation)):
        if isinstance(part, type) and issubclass(part, BaseModel):
            return part
    return None


PLAIN_NAMES = {
    "str": "text",
    "SecretStr": "text",
    "bool": "True / False",
    "float": "number",
    "int": "whole number",
    "dict": "mapping",
}
SIGNS = (("ge", "≥"), ("gt", ">"), ("le", "≤"), ("lt", "<"))


def _kind(annotation: Any, limits: str = "") -> str:
    """A type in words, with its range; every part of a union."""
    origin, parts = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return " / ".join(f"`{part}`" for part in parts)
    if origin is Annotated:
        return _kind(parts[0], _range(parts[1:]) or limits)
    if origin in (Union, UnionType):
        return " or ".join(_kind(part, limits) for part in parts if part is not type(None))
    if origin in (list, tuple):
        return "list of " + _kind(parts[0], limits)
    if origin is dict:
        return f"mapping of {_kind(parts[0])} to {_kind(parts[1], limits)}"
    name = PLAIN_NAMES.get(getattr(annotation, "__name__", ""), "any")
    return f"{name} {limits}".rstrip()


def _range(metadata: Iterable[Any]) -> str:
    """Limits in words; those of pydantic's `Field` stand in its metadata."""
    limits = [limit for entry in metadata for limit in (entry, *getattr(entry, "metadata", ()))]
    found = [f"{sign} {getattr(limit, word)}" for limit in limits for word, sign in SIGNS if hasattr(limit, word)]
    return ", ".join(dict.fromkeys(found))


def _default(field: FieldInfo) -> str:
    if field.default is PydanticUndefined or field.default is None:
        return ""
    return f"`{list(field.default) if isinstance(field.default, tuple) else field.default}`"


def _other_names(dotted: str) -> list[str]:
    return [f"`{old}`" for old, new in {**SECTIONS, **KEYS}.items() if new == dotted]


if __name__ == "__main__":
    print(reference(), end="")
