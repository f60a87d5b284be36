"""Rows S1 to S5 of docs/reliability.md: spec files that are wrong, hostile or contradictory."""

import resource
import time

import pytest
from pydantic import BaseModel
from secateur.errors import SpecError
from secateur.spec import parse_spec
from secateur.spec.spec import Spec

WRONG = [
    "null", "''", "'word'", "[]", "[1, 2]", "{a: 1}", ".nan", ".inf", "-.inf", "-1", "0", "1", "2", "-0.0", "1e-300",
    "1e300", "123456789012345678901234567890", "true", "'\\u202e\\u0000'", "'日本'", "1e-3", "2001-01-01", "0x10",
    "!!binary aGk=",
]  # fmt: skip


def leaves(section, prefix=""):
    for name, field in section.model_fields.items():
        inner = (field.annotation, *getattr(field.annotation, "__args__", ()))
        nested = [part for part in inner if isinstance(part, type) and issubclass(part, BaseModel)]
        yield f"{prefix}{name}"
        if nested:
            yield from leaves(nested[0], f"{prefix}{name}.")


def as_yaml(dotted, value):
    *sections, name = dotted.split(".")
    text = "".join(f"{'  ' * depth}{section}:\n" for depth, section in enumerate(sections))
    prune = "" if sections[:1] == ["prune"] or dotted == "prune" else "prune: {threshold: 0.5}\n"
    return f"{prune}{text}{'  ' * len(sections)}{name}: {value}\n"


@pytest.mark.parametrize("dotted", list(leaves(Spec)))
def test_s1_every_field_with_every_wrong_value(dotted):
    for value in WRONG:
        try:
            assert isinstance(parse_spec(as_yaml(dotted, value)), Spec)
        except SpecError as error:
            assert error.message, (dotted, value)


def edits(word):
    return [word[1:], word[:-1] + "x", word + "s", word[0] + word[2:3] + word[1:2] + word[3:]]


@pytest.mark.parametrize("dotted", [path for path in leaves(Spec) if path.count(".") == 1 and "retrain" not in path])
def test_s2_a_misspelt_key_is_named_with_the_right_one(dotted):
    section, name = dotted.split(".")
    if len(name) < 5:
        pytest.skip("shorter words are near to several")
    known = {path.split(".")[1] for path in leaves(Spec) if path.startswith(f"{section}.")}
    for wrong in edits(name):
        if wrong in known or wrong == name:
            continue
        with pytest.raises(SpecError) as error:
            parse_spec(as_yaml(f"{section}.{wrong}", "1"))
        assert f"{section}.{wrong}: unknown key" in error.value.message
        assert "did you mean" in error.value.hint, (wrong, error.value.hint)


def test_s2_a_key_in_the_wrong_section_is_told_the_right_one():
    with pytest.raises(SpecError) as error:
        parse_spec("model: {num_epochs: 3}\n")
    assert error.value.hint == "did you mean train.num_epochs?"
    assert error.value.exit_code == 2


LAUGHS = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{new}: &{new} [{', '.join([f'*{old}'] * 9)}]\n" for old, new in zip("abcdefgh", "bcdefghi", strict=True)
)
TRAPS = {
    "duplicate": ("train: {}\ntrain: {}\n", "appears twice"),
    "tabs": ("train:\n\tnum_epochs: 1\n", "spec:2: not valid YAML"),
    "laughs": (LAUGHS, "more than 20000 values"),
    "python": ("train: !!python/object/apply:os.system ['touch /tmp/canary']\n", "not valid YAML|must be a section"),
    "ten megabytes": ("# " + "x" * (10 << 20), "larger than"),
    "empty": ("", "not a mapping"),
    "list": ("- 1\n", "not a mapping"),
    "deep": ("[" * 100_000, "nested too deeply|not valid YAML"),
    "no key": ("? [a, b]\n: 1\n", "a key must be text"),
    "not utf-8": (b"train: {a: \xff\xfe\x80}\n", "not valid YAML"),
    "nul": (b"train: \x00\n", "not valid YAML"),
}


@pytest.mark.parametrize("name", TRAPS)
def test_s3_yaml_traps_in_bounded_time_and_memory(name):
    text, said = TRAPS[name]
    before, started = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    with pytest.raises(SpecError, match=said):
        parse_spec(text)
    assert time.process_time() - started < 20
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 300_000, "kB"


def test_s3_read_as_documented():
    assert parse_spec(b"\xef\xbb\xbftrain: {num_epochs: 3}\r\n").train.num_epochs == 3
    assert parse_spec("train: {lr_config: {learning_rate: 1e-3}}").train.lr_config.learning_rate == 0.001
    with pytest.raises(SpecError, match="a key must be text"):
        parse_spec("train: {class_weights: {no: 1}}")


CONTRADICTORY = {
    "image too small": "model: {input_image_size: [3, 15, 15]}",
    "two channels": "model: {input_image_size: [2, 32, 32]}",
    "mixup below 0": "augment: {mixup_alpha: -0.1}",
    "soft_start above 1": "train: {lr_config: {scheduler: cosine, soft_start: 1.5}}",
    "soft_anneal unsorted": "train: {lr_config: {scheduler: soft_anneal, annealing_points: [0.8, 0.3]}}",
    "16 bit colour": "model: {input_image_size: [3, 32, 32], input_image_depth: 16}",
    "shares above 1": "data: {source: x, split: {train: 0.9, val: 0.3, test: 0.1}}",
    "two goals": "prune: {threshold: 0.5, target_macs: 0.5}",
    "retrain without prune": "retrain: {num_epochs: 3}",
    "int8 by tf2onnx": "export: {converter: tf2onnx, data_type: int8}",
    "plain targets beside an encrypted file": "export: {output_path: EXPORTDIR/m.etlt, targets: [tflite]}",
}


@pytest.mark.parametrize("name", CONTRADICTORY)
def test_s4_contradictions_are_refused(name):
    with pytest.raises(SpecError) as error:
        parse_spec(CONTRADICTORY[name])
    assert error.value.exit_code == 2


def test_s5_keys_without_effect_are_reported_once():
    spec = parse_spec("train: {optim_config: {optimizer: sgd, lr: 0.3, decay: 0.1}}")
    keys = [notice.key for notice in spec.notices if notice.kind == "no effect"]
    assert keys == ["train.optim_config.lr", "train.optim_config.decay"]
