"""Values that no sane file has: one error, never a traceback, and nothing that becomes YAML of its own."""

import json

import pytest
import yaml
from secateur.cli.main import main
from secateur.errors import SpecError
from secateur.spec import load_spec, parse_spec
from secateur.spec.convert import converted

PROTO = 'model_config { arch: "resnet" n_layers: 18 input_image_size: "3,64,64" }\ntrain_config { %s }\n'


@pytest.mark.parametrize(
    "text",
    [
        "model: {backbone: 18}",
        "model: {arch: true}",
        "model_config { arch: 3 }",
        '{"dataset": {}, "model": {"backbone": "resnet_18"}, "train": {"num_epochs": [1], "checkpoint_interval": {}}}',
        "train: {num_epochs: 0xffffffffffffffffffffffff}",
        '{"dataset": {"train_dataset_path": "a\\ud83d"}, "model": {"backbone": "resnet_18"}}',
        "key: x\n" + "\n".join(f"unknown_{number}: 1" for number in range(1000)),
    ],
)
def test_one_error(text):
    with pytest.raises(SpecError):
        parse_spec(text)


def test_a_proto_that_is_not_utf_8_is_refused():
    with pytest.raises(SpecError, match="not UTF-8"):
        parse_spec((PROTO % 'train_dataset_path: "im\xe9/train"').encode("latin-1"))


def test_an_emoji_of_json():
    text = json.dumps({"dataset": {"train_dataset_path": "a\U0001f600"}, "model": {"backbone": "resnet_18"}})
    assert parse_spec(text).data.train_dataset_path == "a\U0001f600"


def test_a_deep_override_and_a_long_name(tmp_path, capsys):
    (tmp_path / "s.yaml").write_text(f"key: x\ndata: {{train_dataset_path: {'a' * 300}, val_dataset_path: b}}\n")
    assert main(["check", str(tmp_path / "s.yaml")]) == 0
    with pytest.raises(SpecError, match="is not a YAML value"):
        load_spec(tmp_path / "s.yaml", ["train.num_epochs=" + "[" * 3000])


def test_a_line_break_in_a_value_stays_a_comment(tmp_path):
    (tmp_path / "s.cfg").write_text(PROTO % 'reg_config { scope: "Conv2D, De\\nprune: {threshold: 0.9}\\n#" }')
    text = converted([str(tmp_path / "s.cfg")])
    assert "prune" not in yaml.safe_load(text)


def test_an_override_with_null_is_as_if_the_key_were_absent(tmp_path):
    (tmp_path / "s.yaml").write_text("key: env:K\nmodel: {arch: resnet_18}\nprune: {threshold: 0.5}\n")
    (tmp_path / "new.yaml").write_text(converted([str(tmp_path / "s.yaml")], ["prune=null"]))
    assert not load_spec(tmp_path / "s.yaml", ["prune=null"]).prunes
    assert not load_spec(tmp_path / "new.yaml").prunes


@pytest.mark.parametrize(
    ("word", "path", "value"),
    [
        ("train_config.lr_config.step.learning_rate=0.001", ("train", "lr_config", "learning_rate"), 0.001),
        ("train_config.optimizer.adam.beta_1=0.5", ("train", "optim_config", "optimizer"), "adam"),
        ("train_config.n_epochs=3", ("train", "num_epochs"), 3),
        ("model.input_width=32", ("model", "input_image_size"), (3, 64, 32)),
        ("train.lr_config.compat=tao", ("train", "lr_config", "compat"), "tao"),
    ],
)
def test_overrides_in_the_words_of_a_proto(tmp_path, word, path, value):
    (tmp_path / "s.cfg").write_text(PROTO % "lr_config { step { learning_rate: 0.1 step_size: 10 gamma: 0.5 } }")
    found = load_spec(tmp_path / "s.cfg", [word])
    for name in path:
        found = getattr(found, name)
    assert found == value


def test_an_override_asks_for_an_engine_as_the_section_does(tmp_path):
    (tmp_path / "s.yaml").write_text("dataset: {}\nmodel: {backbone: resnet_18}\n")
    assert load_spec(tmp_path / "s.yaml", ["gen_trt_engine.tensorrt.data_type=int8"]).wants_engine


def test_one_factor_of_the_calibration_images(tmp_path):
    text = "dataset: {}\nmodel: {backbone: resnet_18}\ngen_trt_engine: {tensorrt: {calibration: {cal_batches: 10}}}"
    assert parse_spec(text).export.calibration_images == 10


def test_a_misspelt_word_gets_the_word_of_its_release():
    with pytest.raises(SpecError) as error:
        parse_spec("datset: {}\nencryption_key: env:K\nmodel: {backbone: resnet_18, input_widht: 3}")
    assert error.value.hint == "did you mean dataset?"


V2_SIZE = "dataset: {}\nencryption_key: env:K\nmodel: {backbone: resnet_18, input_channels: 3, input_height: 32%s}\n"


@pytest.mark.parametrize(
    ("more", "word", "message"),
    [
        (", input_width: abc", [], "s.yaml:3: model.input_width: 'abc' must be a valid integer"),
        (", input_width: 5", [], "s.yaml:3: model.input_width: width must be 16 to 16384, not 5"),
        ("", ["model.input_width=abc"], "command line: model.input_width: 'abc' must be a valid integer"),
        ("", ["model.input_channels=2"], "command line: model.input_channels: channels must be 1 or 3, not 2"),
        (
            ", input_width: 5",
            ["model.input_height=64"],
            "s.yaml:3: model.input_width: width must be 16 to 16384, not 5",
        ),
        (
            ", input_width: 5",
            ["model.input_image_size=3,64,6"],
            "command line: model.input_image_size.2: width must be 16 to 16384, not 6",
        ),
        ("", ["dataset.num_clases=3"], "command line: dataset.num_clases: unknown key"),
        ("", ["dataset.num_classes=x"], "command line: dataset.num_classes: 'x' must be a valid integer"),
        ("", ["model.backbone=resnet_3"], "command line: model.backbone: "),
        ("", ["train.optim_config={lr: x}"], "command line: train.optim_config.lr: 'x' must be a valid number"),
    ],
)
def test_an_error_names_the_key_as_it_is_written_and_the_side_that_is_wrong(tmp_path, more, word, message):
    (tmp_path / "s.yaml").write_text(V2_SIZE % more)
    with pytest.raises(SpecError) as error:
        load_spec(tmp_path / "s.yaml", word)
    assert error.value.message.removeprefix(f"{tmp_path}/").startswith(message)


def test_a_suggestion_for_an_override_is_in_the_words_of_the_file(tmp_path):
    (tmp_path / "s.yaml").write_text(V2_SIZE % "")
    with pytest.raises(SpecError) as error:
        load_spec(tmp_path / "s.yaml", ["dataset.num_clases=3"])
    assert error.value.hint == "did you mean dataset.num_classes?"


@pytest.mark.parametrize("key", ["dataset.num_classes", "results_dir", "prune.threshold"])
def test_keys_without_which_5_0_stops_have_their_line(key):
    text = "tao: 5.0\ndataset: {}\nencryption_key: env:K\nmodel: {backbone: resnet_18}\nprune: {}\n"
    assert any(str(notice).startswith(f"differs: {key}: TAO: stops if absent") for notice in parse_spec(text).notices)


OF_DETECTION = 'random_seed: 42\nretinanet_config {\n  scales: "[0.05]"\n}\nnms_config {\n  top_k: 200\n}\n'


@pytest.mark.parametrize("name", ["spec.txt", "spec.cfg"])
def test_a_proto_of_another_task_is_one_error(tmp_path, name):
    """Also one that begins with a scalar, as YAML does."""
    (tmp_path / name).write_text(OF_DETECTION)
    with pytest.raises(SpecError, match=r":2: retinanet_config: this is a spec of another TAO task") as error:
        load_spec(tmp_path / name)
    assert "\n" not in error.value.message


def test_a_text_file_of_yaml_keeps_the_error_of_yaml(tmp_path):
    (tmp_path / "spec.txt").write_text("key: x\nmodel: {arch: resnet_18\n")
    with pytest.raises(SpecError, match="not valid YAML"):
        load_spec(tmp_path / "spec.txt")
