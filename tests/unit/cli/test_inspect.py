"""`secateur inspect` on files of ours, of other programs and of enemies."""

import json

import keras
import pytest
from secateur.cli import inspect as inspection
from secateur.cli.main import main
from secateur.keras_to_onnx.writer import to_onnx
from secateur.models.file import save_model
from secateur.runtime.child import Limits
from secateur.spec import ModelSpec
from secateur.vault import files as vault_files
from secateur.zoo import build


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(0)
    return build(ModelSpec(arch="resnet_10", use_batch_norm=True, input_image_size="3,32,32"), 4)


@pytest.fixture
def key(monkeypatch):
    monkeypatch.setenv("INSPECT_KEY", "k")
    return ["--key", "env:INSPECT_KEY"]


def inspected(capsys, *words):
    assert main(["inspect", *map(str, words), "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_a_sealed_model_with_and_without_its_key(model, tmp_path, key, capsys):
    save_model(model, tmp_path / "m.tlt", "k", {"pruned": True, "classes": ["a", "b"], "provenance": [{"step": "x"}]})
    closed = inspected(capsys, tmp_path / "m.tlt")
    assert (closed["encrypted"], closed["content"]) == (True, "not read: give --key")
    about = inspected(capsys, tmp_path / "m.tlt", *key)
    assert about["content"] == "Keras model"
    assert about["parameters"] == model.count_params()
    assert about["layers"] == len(model.layers)
    assert (about["pruned"], about["classes"], about["input"]) == (True, ["a", "b"], [None, 32, 32, 3])
    assert main(["inspect", str(tmp_path / "m.tlt"), *key]) == 0
    out = capsys.readouterr().out
    assert f"{model.count_params():,} parameters" in out
    assert "bytes, pruned" in out


def test_plain_files_of_other_programs(model, tmp_path, capsys):
    model.save(tmp_path / "m.keras")
    model.save_weights(tmp_path / "m.weights.h5")
    proto = to_onnx(model, "nchw", 17)
    (tmp_path / "named.wrongly.tlt").write_bytes(proto.SerializeToString())
    assert inspected(capsys, tmp_path / "m.keras")["provenance"] == []
    assert inspected(capsys, tmp_path / "m.weights.h5")["parameters"] == model.count_params()
    about = inspected(capsys, tmp_path / "named.wrongly.tlt")
    assert (about["content"], about["opset"]) == ("ONNX model", 17)
    assert list(about["input"].values()) == [["N", 3, 32, 32]] or about["input"]


BAD = {
    "empty": (b"", 4, "the file is empty"),
    "text": (b"hello " * 100, 5, "not an ONNX file"),
    "zip": (b"PK\x03\x04" + bytes(200), 5, "not a Keras archive"),
    "hdf5": (b"\x89HDF\r\n\x1a\n" + bytes(200), 5, "not a weights file"),
    "nvidia": (b"\x07\0\0\0input_1" + bytes(range(200)), 4, "NVIDIA TAO's own closed container"),
    "age": (b"age-encryption.org/v1\n-> scrypt x 99\n", 4, "age"),
}


@pytest.mark.parametrize("name", BAD)
def test_rubbish_is_named(tmp_path, key, capsys, name):
    content, code, said = BAD[name]
    (tmp_path / "m").write_bytes(content)
    assert main(["inspect", str(tmp_path / "m"), *key]) == code
    error = capsys.readouterr().err
    assert said in error
    assert str(tmp_path / "m") in error
    assert "Traceback" not in error


def test_a_missing_file_and_a_wrong_key(model, tmp_path, key, capsys):
    assert main(["inspect", str(tmp_path / "none")]) == 74
    (tmp_path / "plain").write_bytes(b"x")
    vault_files.encrypt_file(tmp_path / "plain", tmp_path / "m.tlt", "other")
    assert main(["inspect", str(tmp_path / "m.tlt"), *key]) == 4
    assert "m.tlt: wrong key\nhint: " in capsys.readouterr().err


def test_too_much_memory_is_refused_in_the_child(model, tmp_path, key, capsys, monkeypatch):
    save_model(model, tmp_path / "m.tlt", "k", {})
    monkeypatch.setattr(inspection, "LIMITS", Limits(memory_bytes=1 << 20, memory_per_byte=0))
    assert main(["inspect", str(tmp_path / "m.tlt"), *key]) == 5
    assert "m.tlt: reading it takes more than 1 MiB of memory" in capsys.readouterr().err
