"""What is made once for all tests, by whichever of their processes needs it first."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

# Specs of the trainings that tests share: `trained` and `photographs`. Each test adds the sections that it is about.
SMALL = """
key: secret-pass-phrase
data: {source: images, preprocess_mode: tf}
model: {arch: resnet_10, input_image_size: [3, 32, 32], use_batch_norm: True}
train: {num_epochs: 1, batch_size_per_gpu: 4}
"""
PHOTOGRAPHS = """
results_dir: {results}
key: {key}
data: {{train_dataset_path: {images}/train, val_dataset_path: {images}/validation, preprocess_mode: torch}}
augment: {{enable_center_crop: False, mixup_alpha: 0}}
model: {{arch: resnet_10, input_image_size: "3,48,64", use_batch_norm: True, use_pooling: True}}
train:
  num_epochs: 2
  batch_size_per_gpu: 32
  optim_config: {{optimizer: adam}}
  lr_config: {{learning_rate: 0.001}}
  reg_config: {{weight_decay: 0.001}}
evaluate: {{dataset_path: {images}/test, top_k: 3}}
"""
PASS_PHRASE = "a passphrase"


def made_once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], None]) -> Path:
    """A folder that `make` has filled; nobody writes into it afterwards."""
    root = factory.getbasetemp()
    shared = (root.parent if os.environ.get("PYTEST_XDIST_WORKER") else root) / "shared"
    shared.mkdir(exist_ok=True)
    folder, finished = shared / name, shared / f"{name}.finished"
    with open(shared / f"{name}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not finished.exists():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            make(folder)
            finished.touch()
    return folder


def copied(folder: Path, target: Path) -> Path:
    """Copy it for one test, with all times; whose lock it was is of no matter there."""
    return shutil.copytree(folder, target, symlinks=True, dirs_exist_ok=True, ignore=shutil.ignore_patterns(".locks"))
