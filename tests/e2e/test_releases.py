"""Specs of TAO's releases through the steps, as the notebooks leave them on the disk; test_quickstart has V1."""

import json
import zipfile

import numpy as np
import onnxruntime
import pytest
from secateur.cli.main import main

from tests.conftest import write_jpeg
from tests.shared import PASS_PHRASE

pytestmark = pytest.mark.slow

TF1 = """
model_config {
  arch: "resnet",
  n_layers: 10
  use_batch_norm: true
  all_projections: true
  freeze_blocks: 0
  input_image_size: "3,32,32"
}
train_config {
  train_dataset_path: "data/train"
  val_dataset_path: "data/val"
  pretrained_model_path: ""
  optimizer { sgd { lr: 0.01 decay: 0.0 momentum: 0.9 nesterov: False } }
  batch_size_per_gpu: 8
  n_epochs: 1
  n_workers: 2
  preprocess_mode: "caffe"
  enable_random_crop: True
  enable_center_crop: True
  label_smoothing: 0.0
  mixup_alpha: 0.1
  reg_config { type: "L2" scope: "Conv2D,Dense" weight_decay: 0.00005 }
  lr_config { step { learning_rate: 0.006 step_size: 10 gamma: 0.1 } }
}
eval_config {
  eval_dataset_path: "data/test"
  model_path: "EVALMODEL"
  top_k: 2
  batch_size: 8
  n_workers: 2
  enable_center_crop: True
}
"""
V0 = """
results_dir: v0
key: env:K
init_epoch: 1
data_format: channels_first
train_config:
  {train_dataset_path: data/train, val_dataset_path: data/val, preprocess_mode: torch, batch_size_per_gpu: 8,
   n_epochs: 1, n_workers: 2, checkpoint_freq: 1, optim_config: {optimizer: sgd}, lr_config: {scheduler: cosine}}
model_config: {arch: resnet, n_layers: 10, input_image_size: "3,32,32", use_batch_norm: True}
eval_config: {eval_dataset_path: data/test, model_path: EVALMODEL, top_k: 2, batch_size: 8, enable_center_crop: True}
export_config: {model_path: EVALMODEL, output_path: EXPORTDIR/m.etlt}
"""
V2 = """
results_dir: v2
dataset:
  train_dataset_path: data/train
  val_dataset_path: data/val
  preprocess_mode: torch
  num_classes: 2
  augmentation: {enable_color_augmentation: True, enable_center_crop: True}
train:
  qat: False
  checkpoint: ''
  batch_size_per_gpu: 8
  num_epochs: 1
  optim_config: {optimizer: sgd}
  lr_config: {scheduler: cosine, learning_rate: 0.05, soft_start: 0.05}
  reg_config: {type: L2, scope: ['conv2d', 'dense'], weight_decay: 0.00005}
model: {backbone: resnet_10, input_width: 32, input_height: 32, input_channels: 3, input_image_depth: 8}
evaluate: {dataset_path: data/test, checkpoint: EVALMODEL, top_k: 2, batch_size: 8, n_workers: 0}
prune: {checkpoint: EVALMODEL, threshold: 0.5, byom_model_path: ''}
inference: {checkpoint: EVALMODEL, image_dir: data/test/dark, classmap: RESULTSDIR/train/classmap.json}
export: {checkpoint: EVALMODEL, onnx_file: EXPORTDIR/m.onnx}
"""
API = {
    "encryption_key": "env:K",
    "results_dir": "api",
    "gpus": 1,
    "dataset": {"train_dataset_path": "data/train", "val_dataset_path": "data/val", "num_classes": 2},
    "train": {"num_epochs": 1, "checkpoint_interval": 1, "batch_size_per_gpu": 8},
    "model": {"backbone": "resnet_10", "input_width": 32, "input_height": 32, "activation_type": "None"},
    "evaluate": {"dataset_path": "data/test", "batch_size": 8, "n_workers": 1},
}
PRUNES = ("train", "prune", "retrain", "evaluate", "export")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    for split in ("train", "val", "test"):
        for name, level in (("dark", 60), ("light", 190)):
            for number in range(10):
                pixels = rng.normal(level, 25, (24, 30, 3))
                write_jpeg(tmp_path / "data" / split / name / f"{number}.jpg", pixels)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("K", PASS_PHRASE)
    return tmp_path


def run(spec, steps):
    assert main(["check", spec]) == 0
    for step in steps:
        assert main([step, "-e", spec]) == 0, step


def read(path):
    return json.loads(path.read_text())


def test_a_proto(folder):
    (folder / "classification_spec.cfg").write_text(TF1)
    run("classification_spec.cfg", ("train", "evaluate", "export"))
    results = folder / "results/classification_spec"
    assert read(results / "evaluate/train/metrics.json")["images"] > 0
    assert zipfile.is_zipfile(results / "train/model.tlt"), "the key is a flag in TF1, and none is given"
    assert onnxruntime.InferenceSession(results / "export/resnet_10.onnx").get_inputs()[0].shape[1:] == [3, 32, 32]


def test_v0_trains_for_int8_as_its_code_does(folder):
    (folder / "v0.yaml").write_text(V0)
    run("v0.yaml", ("train", "evaluate", "export"))
    assert read(folder / "v0/export/metrics.json")["files"]["m.etlt"]["data_type"] == "int8"


def test_v2_without_a_key_writes_plain_files(folder):
    (folder / "v2.yaml").write_text(V2)
    run("v2.yaml", (*PRUNES, "inference"))
    for model in ("train", "prune", "retrain"):
        assert zipfile.is_zipfile(folder / "v2" / model / "model.tlt")
    assert onnxruntime.InferenceSession(folder / "v2/export/m.onnx").get_inputs()[0].shape[1:] == [3, 32, 32]
    assert len((folder / "v2/inference/result.csv").read_text().splitlines()) > 1
    assert main(["report", "-e", "v2.yaml"]) == 0


def test_json_of_the_api(folder):
    (folder / "api.json").write_text(json.dumps(API))
    run("api.json", ("train", "evaluate"))
    assert read(folder / "api/evaluate/train/metrics.json")["images"] > 0


def test_joined_files(folder):
    start = "checkpoint: '/workspace/out/prune/model_th=0.5_eq=union.tlt'"
    (folder / "spec.yaml").write_text(V2.replace("results_dir: v2", "results_dir: one"))
    (folder / "spec_retrain.yaml").write_text(
        V2.replace("checkpoint: ''", start).replace("learning_rate: 0.05", "learning_rate: 0.01").replace(" v2", " two")
    )
    assert main(["convert", "spec.yaml", "spec_retrain.yaml", "-o", "one.yaml"]) == 0
    run("one.yaml", PRUNES)
    rates = [line.split(",") for line in (folder / "one/retrain/history.csv").read_text().splitlines()]
    assert "lr" in ",".join(rates[0]) or "learning_rate" in ",".join(rates[0])
    assert (folder / "one/export/m.onnx").is_file()
