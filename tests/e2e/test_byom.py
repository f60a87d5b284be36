"""A network of keras.applications as ONNX, brought in, trained on photographs, pruned and shipped by the workflow."""

import json

import keras
import pytest
from secateur.cli.main import main

from tests.onnx_files import exported
from tests.workflows import copied_to, snakemake

pytestmark = pytest.mark.slow

SPEC = """
key: env:BYOM_TEST_KEY
data: {{train_dataset_path: {images}/train, val_dataset_path: {images}/validation, preprocess_mode: tf}}
model: {{arch: byom, byom_model: models/mobilenet.tltb, input_image_size: [3, 64, 64]}}
train:
  num_epochs: 1
  batch_size_per_gpu: 20
  optim_config: {{optimizer: adam}}
  lr_config: {{learning_rate: 0.002}}
prune: {{target_macs: 0.6}}
retrain: {{num_epochs: 1}}
evaluate: {{dataset_path: {images}/test}}
export: {{output_path: EXPORTDIR/own.onnx}}
"""


def test_mobilenet_to_onnx_to_a_shipped_classifier(few, tmp_path, monkeypatch, capsys):
    copied_to(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BYOM_TEST_KEY", "a passphrase")
    keras.utils.set_random_seed(0)
    network = keras.applications.MobileNet(weights=None, input_shape=(96, 96, 3), alpha=0.5)
    exported(network, tmp_path / "mobilenet.onnx")
    assert main(["byom", "mobilenet.onnx", "-o", "models/mobilenet.tltb", "--key", "env:BYOM_TEST_KEY"]) == 0
    assert "largest difference from ONNX Runtime" in capsys.readouterr().err
    (tmp_path / "config/specs").mkdir(parents=True)
    (tmp_path / "config/specs/own.yaml").write_text(SPEC.format(images=few))
    (tmp_path / "config/config.yaml").write_text("experiments: {own: config/specs/own.yaml}\n")
    command = ("--cores", "2", "--resources", "gpu=1")
    done = snakemake(*command)
    assert done.returncode == 0, done.stderr[-4000:]
    trained, pruned = (
        json.loads((tmp_path / f"results/own/{s}/metrics.json").read_text()) for s in ("train", "retrain")
    )
    assert trained["arch"] == "byom"
    assert pruned["params"] < trained["params"]
    parity = json.loads((tmp_path / "results/own/export/own.onnx.parity.json").read_text())
    assert parity["max_difference"] < 1e-4
    metrics = json.loads((tmp_path / "results/own/evaluate/train/metrics.json").read_text())
    assert metrics["images"] == 24
    again = snakemake(*command, "-n")
    assert "Nothing to be done" in again.stdout + again.stderr
