"""Model files: round trip, another program's archive, and what is refused before Keras sees it."""

import json
import zipfile

import keras
import numpy as np
import pyrage
import pytest
from secateur.errors import ArtifactError, UntrustedModelError, VaultError, WrongKeyError
from secateur.models.file import load_model, save_model
from secateur.spec import ModelSpec
from secateur.vault import files as vault_files
from secateur.zoo import build


@pytest.fixture(scope="module")
def model():
    return build(ModelSpec(arch="resnet_10", use_batch_norm=True, input_image_size="3,32,32"), 4)


def test_round_trip_with_card_and_without_optimizer(model, tmp_path):
    model.compile(optimizer="adam", loss="mse")
    save_model(model, tmp_path / "m.tlt", "k", {"pruned": False, "classes": ["a", "b"]})
    again, card = load_model(tmp_path / "m.tlt", "k")
    assert card["classes"] == ["a", "b"]
    assert not again.compiled
    assert (tmp_path / "m.tlt").stat().st_size < 4.2 * model.count_params()
    for one, other in zip(model.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    with pytest.raises(WrongKeyError, match=r"m.tlt: wrong key"):
        load_model(tmp_path / "m.tlt", "other")


def test_another_program_opens_it(model, tmp_path):
    save_model(model, tmp_path / "m.tlt", "k", {})
    (tmp_path / "m.keras").write_bytes(pyrage.passphrase.decrypt((tmp_path / "m.tlt").read_bytes(), "k"))
    assert keras.saving.load_model(tmp_path / "m.keras").count_params() == model.count_params()


def test_a_plain_keras_archive_is_read_too(model, tmp_path):
    model.compile(optimizer="adam", loss="mse")
    model.save(tmp_path / "m.keras")
    again, card = load_model(tmp_path / "m.keras", "k")
    assert set(card) == {"sha256"}
    assert not again.compiled
    np.testing.assert_array_equal(model.get_weights()[0], again.get_weights()[0])


def test_without_a_key_the_file_is_a_plain_keras_archive(model, tmp_path):
    save_model(model, tmp_path / "m.tlt", None, {"classes": ["a"]})
    again, card = load_model(tmp_path / "m.tlt", None)
    assert card["classes"] == ["a"]
    np.testing.assert_array_equal(model.get_weights()[0], again.get_weights()[0])
    (tmp_path / "m.keras").write_bytes((tmp_path / "m.tlt").read_bytes())
    assert keras.saving.load_model(tmp_path / "m.keras").count_params() == model.count_params()


def test_an_encrypted_model_needs_its_key(model, tmp_path):
    save_model(model, tmp_path / "m.tlt", "k", {})
    with pytest.raises(VaultError, match="is encrypted, and the spec has no key"):
        load_model(tmp_path / "m.tlt", None)


def rewritten(model, path, change):
    """An archive whose config was tampered with."""
    bare = path.with_name("bare.keras")
    build(ModelSpec(arch="resnet_10", input_image_size="3,32,32"), 4).save(bare)
    with zipfile.ZipFile(bare) as source, zipfile.ZipFile(path, "w") as target:
        for name in source.namelist():
            content = source.read(name)
            if name == "config.json":
                config = json.loads(content)
                change(config)
                content = json.dumps(config).encode()
            target.writestr(name, content)
    return path


def lambda_layer(config):
    config["config"]["layers"][3].update(class_name="Lambda", module="keras.layers")


def foreign_module(config):
    config["config"]["layers"][3].update(class_name="Activation", module="os")


def custom_object(config):
    config["config"]["layers"][3]["registered_name"] = "package>Evil"


@pytest.mark.parametrize("change", [lambda_layer, foreign_module, custom_object])
def test_anything_but_plain_layers_is_refused(model, tmp_path, change):
    with pytest.raises(UntrustedModelError, match="not a plain layer"):
        load_model(rewritten(model, tmp_path / "m.keras", change), "k")


def test_strange_members_are_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "m.keras", "w") as archive:
        archive.writestr("../evil", "x")
    with pytest.raises(UntrustedModelError, match="not a Keras archive"):
        load_model(tmp_path / "m.keras", "k")


def test_sealed_rubbish_is_refused(tmp_path):
    (tmp_path / "rubbish").write_bytes(b"no archive at all")
    vault_files.encrypt_file(tmp_path / "rubbish", tmp_path / "m.tlt", "k")
    with pytest.raises(UntrustedModelError, match="not a Keras archive"):
        load_model(tmp_path / "m.tlt", "k")


def test_a_missing_file(tmp_path):
    with pytest.raises(ArtifactError, match="No such file"):
        load_model(tmp_path / "none.tlt", "k")
