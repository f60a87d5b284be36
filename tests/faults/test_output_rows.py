"""Rows P1, X1 and X2 of docs/reliability.md: what is shipped, and where it runs.

P2: tests/unit/export/test_bundle.py.
"""

import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from secateur.keras_to_onnx.half import to_half
from secateur.keras_to_onnx.writer import to_onnx
from secateur.pruning import prune
from secateur.spec import ModelSpec, PruneSpec
from secateur.vault import files as vault_files
from secateur.zoo import build

from tests.onnx_files import run_onnx


@pytest.mark.parametrize("data_type", ["fp32", "fp16"])
@pytest.mark.parametrize("pruned", [False, True])
@pytest.mark.parametrize("layout", ["nchw", "nhwc"])
def test_p1_keras_onnx_runtime_and_the_decrypted_file_agree(tmp_path, pruned, layout, data_type):
    keras.utils.set_random_seed(3)
    model = build(ModelSpec(arch="resnet_10", use_batch_norm=True, input_image_size="3,32,32"), 5)
    if pruned:
        model, _ = prune(model, PruneSpec(target_macs=0.5))
    proto = to_onnx(model, layout, 17)
    (tmp_path / "m.onnx").write_bytes((to_half(proto) if data_type == "fp16" else proto).SerializeToString())
    vault_files.encrypt_file(tmp_path / "m.onnx", tmp_path / "m.etlt", "k")
    content = vault_files.read_encrypted(tmp_path / "m.etlt", "k")
    for batch in (1, 2, 7):
        images = np.random.default_rng(batch).normal(size=(batch, 32, 32, 3)).astype(np.float32)
        by_onnx, by_keras = run_onnx(content, images, layout), np.asarray(model(images, training=False))
        assert np.abs(by_onnx - by_keras).max() < (1e-5 if data_type == "fp32" else 1e-2)
        assert (by_onnx.argmax(1) == by_keras.argmax(1)).all()


SPEC = """
key: env:K
data: {source: images, preprocess_mode: tf}
model: {arch: resnet_10, input_image_size: [3, 32, 32], use_batch_norm: True}
train: {num_epochs: 1, batch_size_per_gpu: 4}
"""


@pytest.mark.slow
def test_x1_another_directory_with_spaces_and_braces(class_folders, tmp_path, repository):
    """What reruns when: tests/workflow/test_dag.py. Here: the place."""
    place = tmp_path / "my {odd} project"
    (place / "config").mkdir(parents=True)
    (place / "config/config.yaml").write_text("experiments: {one: one.yaml}\n")
    (place / "one.yaml").write_text(SPEC.replace("images", str(class_folders)))
    command = [sys.executable, "-m", "snakemake", "-s", str(repository / "Snakefile"), "-d", str(place), "--cores", "2"]
    before = {path: path.stat().st_mtime_ns for path in (repository / "scripts").rglob("*.py")}
    done = subprocess.run(
        [*command, "results/one/split/manifest.csv"], cwd="/", capture_output=True, text=True, env=bare(), check=False
    )
    assert done.returncode == 0, done.stderr
    assert (place / "results/one/split/manifest.csv").exists()
    assert before == {path: path.stat().st_mtime_ns for path in (repository / "scripts").rglob("*.py")}


def bare(**more):
    """No HOME, no locale, nothing but the path."""
    return {"PATH": os.environ["PATH"], "LANG": "C", "K": "k", **more}


@pytest.mark.slow
def test_x2_no_home_no_locale_no_rights_for_others_one_processor(class_folders, tmp_path, repository):
    (tmp_path / "one.yaml").write_text(SPEC)
    odd = class_folders / "dark" / "grün 😀.jpg"
    (class_folders / "dark/00.jpg").rename(odd)
    script = (
        "import os, sys; os.umask(0o077); os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})\n"
        "sys.path.insert(0, sys.argv[1])\n"
        "from secateur.cli.main import main; sys.exit(main(['train', '-e', 'one.yaml']))"
    )
    command = [sys.executable, "-c", script, str(repository / "scripts")]
    done = subprocess.run(
        command, cwd=tmp_path, env=bare(HOME="/nonexistent"), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    model = Path(tmp_path / "results/one/train/model.tlt")
    assert model.stat().st_mode & 0o077 == 0
