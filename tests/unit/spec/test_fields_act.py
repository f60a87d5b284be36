"""Every field of the spec acts somewhere: a table of where, checked against the sources."""

import pytest
from pydantic import BaseModel
from secateur.spec.effects import keys_without_effect
from secateur.spec.prune_spec import BUDGETS
from secateur.spec.spec import Spec

# Fields that only the loader itself reads.
LOADER = {
    "model.n_layers",
    "model.dropout",
    "model.byom_model",
    "export.data_type",
    "export.engine_data_type",
    "export.parity.min_top_1_agreement",
    "export.parity.max_difference",
}


def fields(section: type[BaseModel], prefix: str = ""):
    for name, field in section.model_fields.items():
        inner = [
            part for part in (field.annotation, *getattr(field.annotation, "__args__", ())) if isinstance(part, type)
        ]
        nested = [part for part in inner if issubclass(part, BaseModel)]
        if nested:
            yield from fields(nested[0], f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", name


@pytest.mark.parametrize(
    ("dotted", "name"), [pair for pair in fields(Spec) if not pair[0].startswith("retrain.") or ".distill." in pair[0]]
)
def test_field_acts_or_is_reported(dotted, name, repository):
    if dotted in keys_without_effect() or dotted in LOADER:
        return
    sources = "".join(
        path.read_text() for path in (repository / "scripts/secateur").rglob("*.py") if path.parent.name != "spec"
    )
    if name in BUDGETS:
        name = "budget"  # read by its name
    section = dotted.split(".")[-2] if "." in dotted else ""
    # A tracker's process has its section as plain data.
    assert f".{name}" in sources or f'options["{name}"]' in sources, f"{dotted} (section {section}) is read nowhere"
