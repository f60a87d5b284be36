"""Bad input at the command line: one clear error, the right exit code, nothing half-written."""

import os

import numpy as np
import pytest
from secateur.cli.main import main
from secateur.vault import files as vault_files

from tests.conftest import write_jpeg
from tests.shared import copied

SPEC = """
results_dir: {folder}/out
key: {key}
data: {{source: {folder}/images, preprocess_mode: tf}}
model: {{arch: resnet_10, input_image_size: [3, 32, 32], use_batch_norm: True}}
train: {{num_epochs: 1, batch_size_per_gpu: 4}}
prune: {{threshold: 0.5}}
inference: {{image_dir: {folder}/images/dark}}
"""


@pytest.fixture
def spec(class_folders, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "spec.yaml"
    path.write_text(SPEC.format(folder=tmp_path, key="secret-pass-phrase"))
    return path


def outcome(capsys, *words):
    code = main([str(word) for word in words])
    error = capsys.readouterr().err
    assert "Traceback" not in error
    assert "secret-pass-phrase" not in error
    return code, error


def test_check_prints_the_effective_spec_and_no_key(spec, capsys):
    assert main(["check", str(spec), "train.optim_config.lr=0.3"]) == 0
    out = capsys.readouterr().out
    assert "key: (set)" in out
    assert "secret" not in out
    assert "label_smoothing: 0.1" in out
    assert "# no effect: train.optim_config.lr: the scheduler sets the learning rate" in out


@pytest.mark.parametrize(
    ("override", "code", "said"),
    [
        ("train.num_epoch=3", 2, "did you mean train.num_epochs?"),
        ("model.arch=resnet_19", 2, "unknown backbone"),
        ("model.input_image_size=[3,8,8]", 2, "must be 16"),
        ("data.source=/no/such/folder", 3, "data.source: cannot read the folder /no/such/folder"),
        ("train.batch_size_per_gpu=500", 3, "batch_size_per_gpu is 500, but there are"),
        ("key=", 4, "the spec has no key"),
        ("key=env:NOT_SET_ANYWHERE", 4, "NOT_SET_ANYWHERE is not set"),
        ("key=file:/no/such/key", 4, "cannot read the key file"),
        ("train.pretrained_model_path=/no/model.tlt", 74, "cannot read the model /no/model.tlt"),
        ("model.freeze_blocks=[7]", 2, "has no block 7"),
        ("results_dir=/dev/null/out", 74, "cannot write into /dev/null/out"),
    ],
)
def test_training_refuses(spec, capsys, override, code, said):
    got, error = outcome(capsys, "train", "-e", spec, override)
    assert got == code, error
    assert said in error
    assert error.splitlines()[-1].startswith("hint: ")
    assert not (spec.parent / "out/train/model.tlt").exists()


def test_steps_out_of_order_name_the_missing_file(spec, capsys):
    for step in ("prune", "retrain", "evaluate", "inference", "export"):
        code, error = outcome(capsys, step, "-e", spec)
        assert code == 74
        assert "cannot read" in error


def test_class_folders_that_differ_between_splits(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    for part, names in (("train", "ab"), ("val", "ac")):
        for name in names:
            write_jpeg(tmp_path / part / name / "1.jpg", rng.integers(0, 256, (9, 9, 3)))
    spec = tmp_path / "spec.yaml"
    spec.write_text(
        f"key: k\nresults_dir: {tmp_path}/out\n"
        f"data: {{train_dataset_path: {tmp_path}/train, val_dataset_path: {tmp_path}/val}}"
    )
    code, error = outcome(capsys, "train", "-e", spec)
    assert code == 3
    assert "only in train" in error
    assert "only in val" in error


def crypt(capsys, folder, content, key="k"):
    (folder / "in").write_bytes(content)
    os.environ["FAULT_KEY"] = key
    try:
        return outcome(capsys, "decrypt", folder / "in", "-o", folder / "out", "--key", "env:FAULT_KEY")
    finally:
        del os.environ["FAULT_KEY"]


def test_five_ways_a_sealed_file_can_be_bad_have_five_messages(tmp_path, capsys):
    (tmp_path / "plain").write_bytes(b"z" * 200_000)
    vault_files.encrypt_file(tmp_path / "plain", tmp_path / "sealed", "k")
    good = (tmp_path / "sealed").read_bytes()
    flipped = bytearray(good)
    flipped[5000] ^= 1
    cases = [
        (good, "other", "wrong key"),
        (good[:-1], "k", "cut short"),
        (bytes(flipped), "k", "damaged"),
        (b"PK\x03\x04 and so on, an archive", "k", "not an age v1 file"),
        (b"\x07\0\0\0input_1" + bytes(range(100)), "k", "NVIDIA TAO's own closed container"),
    ]
    messages = set()
    for content, key, said in cases:
        code, error = crypt(capsys, tmp_path, content, key)
        assert code == 4
        assert said in error
        assert str(tmp_path / "in") in error
        assert not (tmp_path / "out").exists()
        messages.add(error)
    assert len(messages) == 5
    code, _ = crypt(capsys, tmp_path, good)
    assert code == 0
    assert (tmp_path / "out").read_bytes() == b"z" * 200_000


def test_a_key_on_the_command_line_is_refused(tmp_path, capsys):
    (tmp_path / "in").write_bytes(b"x")
    code, error = outcome(capsys, "encrypt", tmp_path / "in", "-o", tmp_path / "out", "--key", "secret-pass-phrase")
    assert code == 4
    assert "env:NAME or file:PATH" in error
    assert not (tmp_path / "out").exists()


def test_inference_lists_and_skips_what_cannot_be_read(trained, spec, capsys, class_folders):
    copied(trained / "results/one", spec.parent / "out")
    for step in ("prune", "retrain"):
        assert main([step, "-e", str(spec), "retrain.num_epochs=1"]) == 0
    assert "hint: nothing was removed" in capsys.readouterr().err, "0.5 is far below the norms of so short a training"
    (class_folders / "dark/broken.jpg").write_bytes(b"no image")
    (class_folders / "dark/notes.txt").write_text("ignored")
    code, error = outcome(capsys, "inference", "-e", spec)
    assert code == 0
    assert "broken.jpg: not an image that can be read" in error
    out = spec.parent / "out/inference"
    assert len((out / "result.csv").read_text().splitlines()) == 12
    assert "broken.jpg" in (out / "unreadable.csv").read_text()
