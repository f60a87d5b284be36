"""Rows S1 to S5 of docs/reliability.md: spec files that are wrong, hostile or contradictory."""

import gc
import os
import time

import pytest
from pydantic import BaseModel
from secateur.errors import SpecError
from secateur.spec import load_spec, parse_spec
from secateur.spec.spec import Spec

from tests.memory import Growth

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
MANY = "".join(f"  k{number}: 1\n" for number in range(19_000))
QUOTED = "'${t}'"
MERGES = "a0: &a0 {}\n" + "".join(
    f"a{level}: &a{level} {{<<: [{', '.join([f'*a{level - 1}'] * 50)}]}}\n" for level in range(1, 60)
)
DEEP = f"s0: {'{a: ' * 45}1{'}' * 45}\n" + "".join(
    f"s{level}: {'{a: ' * 45}'${{s{level - 1}}}'{'}' * 45}\n" for level in range(1, 40)
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
    "nul": (b"train: \x00\n", "spec:1: not valid YAML"),
    "a long key above many": (f"? {'a' * 600_000}\n:\n{MANY}", "spec:1: a text has more than 10000 characters"),
    "a longer key than a name": (f"{'a' * 301}:\n{MANY}", "spec:1: a key has more than 300 characters"),
    "a long key of a proto": (f"{'a' * 600_000} {{\n{MANY}}}", "spec:1: a key has more than 300 characters"),
    "a long path": ("".join(f"{' ' * depth}{'k' * 299}:\n" for depth in range(90)), "spec:4: a key has more than"),
    "a long text": (f"t: &t {'x' * 700_000}\nl: [{','.join(['*t'] * 15_000)}]\n", "more than 10000 characters"),
    "repeated text": (f"t: &t {'x' * 9000}\nl: [{','.join(['*t'] * 15_000)}]\n", "more than 1048576 characters"),
    "copied text": (f"t: {'x' * 9000}\nl: [{','.join([QUOTED] * 15_000)}]\n", "more than 1048576 characters"),
    "an error at the end": ("a: [" + "1," * 499_000 + "\n%", "spec:2: not valid YAML"),
    "merges of nothing": (MERGES, "more than 20000 values"),
    "an anchor in itself": ("a: &a [*a]", "nested too deeply"),
    "depth by references": (DEEP, "nested too deeply"),
    "a number in sixties": ("a: 1:" + ":".join(["59"] * 300_000), "too many digits"),
    "a number of a proto": ("model_config { arch: 0x" + "f" * 5000 + " }", "spec:1: the number has too many digits"),
    "words on one line": (f"model_config {{ tags: [{', '.join(['word'] * 100_000)}] }}", "more than 20000 values"),
    "backslashes": ('model_config { arch: "' + "\\" * 700_000 + '" }', "spec:1: .* more than 100 backslashes in a row"),
    "messages without a field": ("model_config { }\n" + "tags {} " * 100_000, "more than 20000 values"),
}


@pytest.mark.parametrize("name", TRAPS)
def test_s3_yaml_traps_in_bounded_time_and_memory(name):
    text, said = TRAPS[name]
    gc.freeze()  # what earlier tests have left would be searched by the garbage collector again and again
    try:
        started = time.process_time()
        with Growth() as memory, pytest.raises(SpecError, match=said):
            parse_spec(text)
        assert time.process_time() - started < 20
    finally:
        gc.unfreeze()
    assert memory.kb < 300_000


TAGGED = ["!!int ''", "!!float ''", "!!int '-'", "!!bool x", "!!timestamp x", "!!int 0b", "!other x"]
BROKEN = ['"a\\0b"', '"\\ud800"', '"\\udcff"', '"${oc.env:a\\ud800b}"', '"${oc.env:a\\0b}"']


@pytest.mark.parametrize("value", [*TAGGED, *BROKEN])
def test_s3_a_value_that_cannot_be_read_has_its_line_or_its_word(value, tmp_path):
    for place in ("model:\n  arch: %s", "\nresults_dir: %s", "key:\n  %s", "\n%s: 1"):
        with pytest.raises(SpecError, match=r"^spec:2: "):
            parse_spec(place % value)
    (tmp_path / "s.yaml").write_text("key: x\n")
    with pytest.raises(SpecError, match=r"^a\.b: .* is not a YAML value: ."):
        load_spec(tmp_path / "s.yaml", [f"a.b={value}"])


@pytest.mark.parametrize("value", ["a\\u0000b", "a\\ud83d", "a\\ude00\\ud83d"])
def test_s3_half_a_character_and_a_null_in_json(value):
    with pytest.raises(SpecError, match=r"^spec:2: a text has"):
        parse_spec(f'{{"results_dir":\n"{value}"}}')


def test_s3_a_null_in_a_proto():
    with pytest.raises(SpecError, match=r"^spec:2: a text has a null"):
        parse_spec('model_config { arch: "resnet" }\nresults_dir: "a\\0b"')


WORDS = {
    "many sections": "a." * 2000 + "x=1",
    "long key": "a" * 5000 + "=1",
    "key that is not UTF-8": "a\udcff=1",
    "value that is not UTF-8": "a=\udcff",
    "anchor in itself": "a=&a [*a]",
    "list for a word": "data_format=[1]",
    "long value": "a=" + "x" * 20_000,
}


@pytest.mark.parametrize("name", WORDS)
def test_s3_a_word_of_the_command_line(name, tmp_path):
    (tmp_path / "s.yaml").write_text("key: x\n")
    with pytest.raises(SpecError) as error:
        load_spec(tmp_path / "s.yaml", [WORDS[name]])
    assert len(str(error.value)) < 2000


def test_s3_a_pipe_and_a_name_that_no_file_has(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", "/dev/zero", "a\0b"):
        with pytest.raises(SpecError, match="cannot read the spec"):
            load_spec(path)


def test_s3_a_long_value_is_not_repeated_in_the_error():
    with pytest.raises(SpecError) as error:
        parse_spec(f"model: {{arch: {'x' * 9000}}}")
    assert len(str(error.value)) < 1000


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
