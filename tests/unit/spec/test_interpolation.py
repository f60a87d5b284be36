"""OmegaConf's language in the values of a spec."""

import pytest
from secateur.errors import SpecError
from secateur.spec.spec_file import parse_spec_text


def values(text):
    return parse_spec_text(text, "my.yaml").values


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("a: 3\nb: ${a}", 3),
        ("a: x\nb: ${a}/y", "x/y"),
        ("s: {a: [1, 2]}\nb: ${s.a[1]}", 2),
        ("a: x\nb: '${a}${a}'", "xx"),
        ("a: ${c}\nb: ${a}\nc: x", "x"),
        ("n: a\na: x\nb: ${${n}}", "x"),
        ("b: ${oc.env:HERE}", "there"),
        ("b: ${env:HERE}", "there"),
        ("b: ${oc.env:NOT_SET,default}", "default"),
        ("b: ${oc.env:NOT_SET, null}", None),
        (r"b: \${a}", "${a}"),
        ("s: {a: 1, c: '${.a}'}\nb: ${s.c}", 1),
        ("s: {a: {x: 1}}\nb: ${s.a}", {"x": 1}),
    ],
)
def test_a_reference_is_the_value(text, wanted, monkeypatch):
    monkeypatch.setenv("HERE", "there")
    monkeypatch.delenv("NOT_SET", raising=False)
    assert values(text)["b"] == wanted


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: 1\nb: ${c}", "my.yaml:2: b: there is no key c"),
        ("b: ${b}", "refers to itself"),
        ("b: {c: '${b}'}", "refers to itself"),
        ("a: ${b}\nb: ${a}", "no end|refers to itself"),
        ("a: {x: '${b}'}\nb: {y: '${a}'}", "no end|refers to itself|more than"),
        ("a: {c: 1}\nb: x${a}", "is a section, not a value"),
        ("b: ${oc.env:NOT_SET}", "variable NOT_SET is not set"),
        ("b: ${oc.create:1}", "is not known here"),
        ("a: ???\nb: ${a}", "a has no value"),
    ],
)
def test_a_reference_that_leads_nowhere_names_its_line(text, said, monkeypatch):
    monkeypatch.delenv("NOT_SET", raising=False)
    with pytest.raises(SpecError, match=said):
        values(text)


def test_text_that_grows_without_end_is_refused():
    levels = "\n".join(f"l{n}: '${{l{n - 1}}}${{l{n - 1}}}'" for n in range(1, 40))
    with pytest.raises(SpecError, match="no end"):
        values(f"l0: aaaaaaaaaa\n{levels}")


def test_sections_that_grow_without_end_are_refused():
    levels = "\n".join(f"l{n}: {{a: '${{l{n - 1}}}', b: '${{l{n - 1}}}'}}" for n in range(1, 40))
    with pytest.raises(SpecError, match=r"no end|more than"):
        values(f"l0: {{a: x}}\n{levels}")


def test_a_missing_value_is_no_value_and_a_notice():
    parsed = parse_spec_text("results_dir: ???\ntrain:\n  num_epochs: ???\n  batch_size_per_gpu: 4", "my.yaml")
    assert parsed.values == {"train": {"batch_size_per_gpu": 4}}
    assert [notice.key for notice in parsed.notices] == ["results_dir", "train.num_epochs"]


def test_a_mapping_is_merged_and_own_keys_count():
    assert values("a: &x {p: 1, q: 2}\nb: {<<: *x, q: 3}")["b"] == {"p": 1, "q": 3}
    assert values("a: &x {p: 1}\nb: &y {p: 2, q: 2}\nc: {<<: [*x, *y]}")["c"] == {"p": 1, "q": 2}
    with pytest.raises(SpecError, match="<< needs a mapping"):
        values("a: &x 3\nb: {<<: *x}")
