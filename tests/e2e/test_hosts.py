"""One training in two processes that JAX joins, as `srun` starts them on two hosts, against the same in one process."""

import os
import socket
import subprocess
import sys

import pandas as pd
import pytest
import yaml

pytest.importorskip("jax")
pytestmark = pytest.mark.slow

SPEC = {
    "key": "env:TEST_KEY",
    "data": {"preprocess_mode": "tf"},
    "model": {"arch": "squeezenet", "input_image_size": [3, 32, 32]},
    # 14 training images: the last batch has 2 of them, one for each; 6 to validate with.
    "train": {"num_epochs": 2, "batch_size_per_gpu": 3, "gpus": 2},
}


def training(folder, class_folders, **environment):
    folder.mkdir(exist_ok=True)
    (folder / "one.yaml").write_text(yaml.safe_dump({**SPEC, "data": {**SPEC["data"], "source": str(class_folders)}}))
    words = [sys.executable, "-m", "secateur", "train", "-e", "one.yaml"]
    environment = {**os.environ, "TEST_KEY": "k", "KERAS_BACKEND": "jax", **environment}
    return subprocess.Popen(
        words, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def test_two_processes_train_what_one_does(tmp_path, class_folders):
    joined = {"JAX_NUM_PROCESSES": "2", "JAX_COORDINATOR_ADDRESS": f"127.0.0.1:{free_port()}"}
    pair = [training(tmp_path / "two", class_folders, JAX_PROCESS_ID=str(rank), **joined) for rank in range(2)]
    printed = [process.communicate(timeout=400)[0] for process in pair]
    assert [process.returncode for process in pair] == [0, 0], "\n".join(printed)
    assert "2 of 2 devices in 2 processes" in printed[0]
    assert "epoch 1/2" in printed[0]
    assert "epoch 1/2" not in printed[1]
    single = training(tmp_path / "one", class_folders)
    assert single.communicate(timeout=400)[0]
    one, two = (pd.read_csv(tmp_path / name / "results/one/train/history.csv") for name in ("one", "two"))
    pd.testing.assert_frame_equal(one, two, atol=1e-4)
    made = [
        sorted(str(path.relative_to(tmp_path / name)) for path in (tmp_path / name).rglob("*.tlt"))
        for name in ("one", "two")
    ]
    assert made[0] == made[1]
    assert (tmp_path / "two/results/one/status.json").read_text().count('"SUCCESS"') == 3  # split, cache, train


def test_only_a_training_is_for_several(tmp_path, class_folders):
    (tmp_path / "one.yaml").write_text(yaml.safe_dump(SPEC))
    environment = {**os.environ, "JAX_NUM_PROCESSES": "2", "JAX_PROCESS_ID": "0", "JAX_COORDINATOR_ADDRESS": "a:1"}
    words = [sys.executable, "-m", "secateur", "evaluate", "-e", "one.yaml"]
    done = subprocess.run(words, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "evaluate cannot run on several hosts (2 processes found)" in done.stderr
