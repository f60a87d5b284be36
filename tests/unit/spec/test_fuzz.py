"""Whatever is in a spec file: a typed spec or one SpecError, never another exception."""

import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from secateur.errors import SpecError
from secateur.spec import parse_spec
from secateur.spec.spec import Spec
from secateur.spec.tao_keys import KEYS, SECTIONS

from tests.unit.spec.tao_corpus import ACCEPTED

WORDS = [*Spec.model_fields, *SECTIONS, "data_format"]
NAMES = sorted(
    {name for field in Spec.model_fields.values() for name in getattr(field.annotation, "model_fields", ())}
    | {path.split(".")[-1] for path in (*KEYS, *KEYS.values())}
    | {"input_channels", "input_height", "data_format", "lr_config", "reg_config", "scheduler", "PRUNEDMODEL"}
)
SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8), st.sampled_from(["PRUNEDMODEL", "torch"])
)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=3)
)
SPECS = st.dictionaries(st.sampled_from(WORDS), VALUES | st.dictionaries(st.sampled_from(NAMES), VALUES, max_size=4))


def check(text):
    try:
        assert isinstance(parse_spec(text), Spec)
    except SpecError as error:
        assert error.message


@settings(max_examples=300, deadline=None)
@given(st.one_of(st.binary(max_size=200), st.text(max_size=200)))
def test_any_bytes(text):
    check(text)


@settings(max_examples=600, deadline=None)
@given(SPECS)
def test_any_mapping_of_known_words(values):
    check(yaml.safe_dump(values, allow_unicode=True))


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(sorted(ACCEPTED)), st.integers(0, 4000), st.integers(0, 60), st.text(max_size=6))
def test_specs_of_all_releases_with_a_part_replaced(name, start, length, text):
    spec = ACCEPTED[name]
    start = min(start, len(spec))
    check(spec[:start] + text + spec[start + length :])
