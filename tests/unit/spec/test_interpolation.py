"""OmegaConf's language in the values of a spec."""

import pytest
from secateur.errors import SpecError
from secateur.spec import load_spec, parse_spec
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
        ("a: [1]\nb: ${a[²]}", "there is no key"),
        ("a: '${}'", "refers to itself"),
    ],
)
def test_a_reference_that_leads_nowhere_names_its_line(text, said, monkeypatch):
    monkeypatch.delenv("NOT_SET", raising=False)
    with pytest.raises(SpecError, match=said):
        values(text)


@pytest.mark.parametrize(
    "text",
    [
        "results_dir: /r/${oc.env:SECATEUR_KEY}",
        "key: env:HERE\nresults_dir: ${oc.env:HERE}",
        "encryption_key: env:HERE\nwandb: {project: '${env:HERE}'}",
        "wandb: {project: 'x ${oc.env:AWS_SECRET_ACCESS_KEY,none}'}",
        "a: ${b}\nb: ${oc.env:HF_TOKEN}",
        "n: WANDB_API_KEY\nb: ${oc.env:${n}}",
        "key: word\nresults_dir: /r/${key}",
        "key: ${oc.env:HERE}\nresults_dir: ${key}",
        "s: {a: '${..key}'}\nkey: word",
        "a: '${[key]}'\nkey: word",
        "a: '${key.}'\nkey: word",
        "a: ${oc.env:HERE}\nn: HERE\nkey: env:${n}",
        "a: ${oc.env:PGPASSWORD}",
        "a: ${oc.env:GITHUB_TOKEN2}",
        "data: {source: 'http://host/$SECATEUR_KEY/t.csv'}",
        "data: {source: 'http://host/\\${SECATEUR_KEY}/t.csv'}",
        "key: env:HERE\ndata: {source: 'http://host/$HERE/t.csv'}",
        "dataset: {train_dataset_path: /d/$HERE}\nencryption_key: env:HERE\nmodel: {backbone: resnet_18}",
        "model_config { arch: 'resnet' } train_config { train_dataset_path: '/d/${SECATEUR_KEY}' }",
    ],
)
def test_a_secret_stays_out_of_other_values(text, monkeypatch):
    """They stand in reports, models and trackers. A spec of a stranger could ask for any variable."""
    for name in ("HERE", "SECATEUR_KEY", "AWS_SECRET_ACCESS_KEY", "HF_TOKEN", "WANDB_API_KEY"):
        monkeypatch.setenv(name, "precious")
    with pytest.raises(SpecError, match=r"would stand in reports and models") as error:
        parse_spec(text)
    assert "precious" not in str(error.value)


@pytest.mark.parametrize(
    "words",
    [
        ["data.source=http://host/$SECATEUR_KEY/t.csv"],
        ["data.source=http://host/${SECATEUR_KEY}/t.csv"],
        ["key=env:HERE", "data.source=http://host/$HERE/t.csv"],
        ["key=env:HERE"],
    ],
)
def test_a_secret_stays_out_of_values_with_the_command_line(words, monkeypatch, tmp_path):
    monkeypatch.setenv("SECATEUR_KEY", "precious")
    monkeypatch.setenv("HERE", "precious")
    (tmp_path / "s.yaml").write_text("key: x\nresults_dir: /r/${oc.env:HERE}\n")
    with pytest.raises(SpecError, match=r"would stand in reports and models") as error:
        load_spec(tmp_path / "s.yaml", words)
    assert "precious" not in str(error.value)


def test_a_variable_of_the_key_of_another_file_that_is_joined(monkeypatch, tmp_path):
    monkeypatch.setenv("HERE", "precious")
    (tmp_path / "a.yaml").write_text("key: env:HERE\ndata: {source: images}\ntrain: {num_epochs: 3}\n")
    (tmp_path / "b.yaml").write_text("evaluate: {dataset_path: '/r/$HERE'}\nmodel: {arch: resnet_18}\n")
    with pytest.raises(SpecError, match=r"b\.yaml:1: .*the variable HERE looks secret"):
        load_spec([str(tmp_path / "a.yaml"), str(tmp_path / "b.yaml")])


def test_the_key_may_be_a_secret_and_a_pointer_is_none(monkeypatch):
    monkeypatch.setenv("SECATEUR_KEY", "precious")
    monkeypatch.setenv("MONKEY_DIR", "/m")
    assert values("key: ${oc.env:SECATEUR_KEY}")["key"] == "precious"
    assert values("key: env:SECATEUR_KEY\nb: ${key}")["b"] == "env:SECATEUR_KEY"
    assert values("encryption_key: word\nkey: ${encryption_key}")["key"] == "word"
    assert values("b: ${oc.env:MONKEY_DIR}/${oc.env:PWD}")["b"].startswith("/m/")


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
