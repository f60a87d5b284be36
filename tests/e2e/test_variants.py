"""Other corners of the spec through all steps at the command line: tiny data, one epoch."""

import json

import keras
import numpy as np
import pytest
from PIL import Image
from secateur.cli.main import main

from tests.shared import SMALL, copied

pytestmark = pytest.mark.slow
STEPS = ("train", "prune", "retrain", "evaluate", "inference", "export")


def chain(spec, *overrides):
    for step in STEPS:
        assert main([step, "-e", str(spec), *overrides]) == 0, step


def results(folder, name):
    return json.loads((folder / name).read_text())


@pytest.fixture
def sixteen_bit(tmp_path):
    rng = np.random.default_rng(0)
    for name, level in (("dim", 9000), ("bright", 52000)):
        (tmp_path / "images" / name).mkdir(parents=True)
        for number in range(14):
            pixels = np.clip(rng.normal(level, 4000, (40, 33)), 0, 65535).astype(np.uint16)
            Image.fromarray(pixels).save(tmp_path / "images" / name / f"{number}.png")
    return tmp_path / "images"


def test_sixteen_bit_gray_caffe_mode_nhwc_by_tf2onnx(sixteen_bit, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "gray.yaml").write_text(
        f"""
encryption_key: k
data_format: channels_last
dataset:
  source: {sixteen_bit}
  preprocess_mode: caffe
  image_mean: [30000.0]
  augmentation: {{mixup_alpha: 0.1, enable_color_augmentation: True}}
model:
  backbone: resnet_10
  input_channels: 1
  input_height: 32
  input_width: 24
  input_image_depth: 16
  resize_interpolation_method: bicubic
  use_batch_norm: True
  use_pooling: True
train:
  num_epochs: 2
  batch_size_per_gpu: 4
  optim_config: {{optimizer: rmsprop, rho: 0.9}}
  lr_config: {{scheduler: soft_anneal, learning_rate: 0.0005}}
  bn_config: {{momentum: 0.8}}
  reg_config: {{type: L1, weight_decay: 0.00001}}
  wandb: {{project: gray, sync_tensorboard: True}}
prune: {{threshold: 0.95, equalization_criterion: intersection, normalizer: max}}
inference: {{image_dir: {sixteen_bit}/dim}}
export: {{onnx_file: {tmp_path}/out/gray.onnx, converter: tf2onnx, target_opset: 17}}
"""
    )
    chain(tmp_path / "gray.yaml")
    folder = tmp_path / "results/gray"
    assert results(folder, "evaluate/retrain/metrics.json")["top_1"] >= 0.5
    assert results(folder, "prune/report.json")["params_kept_ratio"] < 1
    card = results(folder, "export/preprocessing.json")
    assert (card["input"]["layout"], card["bits"], card["mean"]) == ("NHWC", 16, [30000.0])
    assert (tmp_path / "out/gray.onnx").read_bytes() == (folder / "export/gray.onnx").read_bytes()
    parity = results(folder, "export/gray.onnx.parity.json")
    assert (parity["converter"], parity["top_1_agreement"]) == ("tf2onnx", 1)
    for step in ("train", "retrain"):
        assert list((tmp_path / "work/gray" / step / "wandb").rglob("offline-run-*/*.wandb")), step


def test_the_specifications_sample_with_its_data_paths_changed(class_folders, tmp_path, repository, monkeypatch):
    """Every section and placeholder of the sample acts; size and epochs are cut down to seconds."""
    monkeypatch.chdir(tmp_path)
    chain(
        repository / "config/specs/specification-sample.yaml",
        f"results_dir={tmp_path}/out",
        f"data.train_dataset_path={class_folders}",
        f"data.val_dataset_path={copy_of(class_folders, tmp_path / 'val', 1)}",
        f"evaluate.dataset_path={copy_of(class_folders, tmp_path / 'test', 2)}",
        f"inference.image_dir={class_folders}/dark",
        "train.num_epochs=1",
        "train.batch_size_per_gpu=8",
        "model.input_image_size=[3,32,32]",
        "prune.threshold=0.99",
    )
    assert (tmp_path / "out/export/efficientnet-b0.etlt").stat().st_size > 100_000
    assert results(tmp_path, "out/prune/report.json")["params_kept_ratio"] < 0.9
    assert results(tmp_path, "out/evaluate/retrain/metrics.json")["k"] == 2
    assert len((tmp_path / "out/inference/result.csv").read_text().splitlines()) == 12


def copy_of(source, target, shift):
    """Other images of the same classes: a little darker."""
    for path in source.rglob("*.jpg"):
        copy = target / path.relative_to(source)
        copy.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.asarray(Image.open(path)) // (1 + shift)).save(copy)
    return target


def test_a_pruned_file_of_another_run_is_retrained_as_it_is(trained, tmp_path, monkeypatch):
    """TAO's way: a second spec whose training starts from the pruned file. The first training is the shared one."""
    copied(trained, tmp_path)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "one.yaml").write_text(SMALL + f"prune: {{threshold: 1, output_path: {tmp_path}/cut.tlt}}")
    second = SMALL.replace("batch_size_per_gpu: 4", f"batch_size_per_gpu: 4, pretrained_model_path: {tmp_path}/cut.tlt")
    (tmp_path / "second.yaml").write_text(second)
    assert main(["prune", "-e", "one.yaml"]) == 0
    assert main(["train", "-e", "second.yaml"]) == 0
    metrics = results(tmp_path, "results/second/train/metrics.json")
    assert metrics["pretrained"]["replaced"]
    assert metrics["params"] == results(tmp_path, "results/one/prune/report.json")["params_after"]
    assert main(["evaluate", "-e", "second.yaml"]) == 0
    assert main(["export", "-e", "second.yaml"]) == 0
    assert (tmp_path / "results/second/export/resnet_10.etlt").is_file()


def test_weights_of_keras_applications_start_a_training(class_folders, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    keras.applications.MobileNetV2(weights=None, include_top=False, input_shape=(32, 32, 3)).save(tmp_path / "m.keras")
    (tmp_path / "warm.yaml").write_text(
        f"""
key: k
data: {{source: {class_folders}, preprocess_mode: torch}}
model:
  arch: mobilenet_v2
  input_image_size: [1, 32, 32]
  use_batch_norm: True
  padding: same
  activation_type: relu6
  freeze_blocks: [0, 1]
  freeze_bn: True
train: {{num_epochs: 1, batch_size_per_gpu: 4, pretrained_model_path: m.keras}}
"""
    )
    assert main(["train", "-e", "warm.yaml"]) == 0
    said = capsys.readouterr().err
    assert "weights: 104 layers from m.keras" in said
    assert "Conv1: the kernels of 3 channels are summed into 1; new head: predictions_dense" in said
    assert "warning: these weights were trained with data.preprocess_mode tf, but the spec has torch" in said
    report = results(tmp_path, "results/warm/train/metrics.json")["pretrained"]
    assert (report["missing"], report["mismatched"], report["new_head"]) == ([], {}, ["predictions_dense"])


def test_cuts_that_measure_importance_again_train_nothing_between_them(trained, tmp_path, monkeypatch, capsys):
    copied(trained, tmp_path)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "one.yaml").write_text(
        SMALL + "prune: {target_macs: 0.3, importance: taylor, ranking: global, images: 8, recalibrate_bn: True, "
        "steps: 3, step_epochs: 0}"
    )
    assert main(["prune", "-e", "one.yaml"]) == 0
    told = capsys.readouterr().err
    assert "cut 1 of 3 done, measuring importance again" in told
    assert "cut 2 of 3 done, measuring importance again" in told
    assert "epoch" not in told
    report = results(tmp_path / "results/one", "prune/report.json")
    assert 0.2 < report["macs_kept_ratio"] <= 0.3
    assert (report["steps"], report["step_epochs"]) == (3, 0)
    assert "3 steps without training" in (tmp_path / "results/one/prune/report.html").read_text()
    assert not list((tmp_path / "work").rglob("step_*.tlt")), "what lies between two cuts is dropped"
    for path in tmp_path.rglob("manifest.csv"):
        path.unlink()
    assert main(["prune", "-e", "one.yaml", "prune.importance=l2", "prune.recalibrate_bn=False"]) == 0
