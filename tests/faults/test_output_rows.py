"""faults.md section 7, rows P1, P2, X1 and X2: what is shipped, and the places where it runs."""

import json
import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import onnxruntime
import pytest
from secateur import sealed
from secateur.data.preprocessing import preprocess
from secateur.export.onnx_writer import INPUT_NAME, OUTPUT_NAME, to_onnx
from secateur.export.step import sidecars
from secateur.pruning import prune
from secateur.run import run_of
from secateur.spec import ModelSpec, PruneSpec, parse_spec
from secateur.zoo import build


@pytest.mark.parametrize("pruned", [False, True])
@pytest.mark.parametrize("layout", ["nchw", "nhwc"])
def test_p1_keras_onnx_runtime_and_the_decrypted_file_agree(tmp_path, pruned, layout):
    """float16 is not exported yet: export.data_type takes fp32 only."""
    keras.utils.set_random_seed(3)
    model = build(ModelSpec(arch="resnet_10", use_batch_norm=True, input_image_size="3,32,32"), 5)
    if pruned:
        model, _ = prune(model, PruneSpec(target_macs=0.5))
    (tmp_path / "m.onnx").write_bytes(to_onnx(model, layout, 17).SerializeToString())
    sealed.seal_file(tmp_path / "m.onnx", tmp_path / "m.etlt", "k")
    session = onnxruntime.InferenceSession(sealed.read_sealed(tmp_path / "m.etlt", "k"))
    for batch in (1, 2, 7):
        images = np.random.default_rng(batch).normal(size=(batch, 32, 32, 3)).astype(np.float32)
        fed = images.transpose(0, 3, 1, 2) if layout == "nchw" else images
        by_onnx = session.run([OUTPUT_NAME], {INPUT_NAME: np.ascontiguousarray(fed)})[0]
        by_keras = np.asarray(model(images, training=False))
        assert np.abs(by_onnx - by_keras).max() < 1e-5
        assert (by_onnx.argmax(1) == by_keras.argmax(1)).all()


@pytest.mark.parametrize("mode", ["caffe", "torch", "tf"])
def test_p2_the_files_beside_the_model_say_what_the_spec_does(tmp_path, mode):
    """nvinfer and Triton files are not made yet; labels and preprocessing are."""
    spec = parse_spec(f"data: {{source: x, preprocess_mode: {mode}}}\nmodel: {{arch: resnet_10}}")
    run = run_of("one", spec, tmp_path)
    run.classmap.parent.mkdir(parents=True)
    run.classmap.write_text(json.dumps({"b c": 1, "a": 0}))
    sidecars(run)
    folder = run.results / "export"
    assert (folder / "labels.txt").read_text() == "a\nb c\n"
    about = json.loads((folder / "preprocessing.json").read_text())
    pixels = np.random.default_rng(0).integers(0, 256, (4, 4, 3)).astype(np.float32)
    ordered = pixels[..., ::-1] if about["channel_order"] == "BGR" else pixels
    by_file = (ordered - np.array(about["mean"])) * np.array(about["scale"])
    np.testing.assert_allclose(by_file, preprocess(pixels, mode), atol=1e-4)
    assert (about["width"], about["height"]) == (224, 224)


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
        "from secateur.cli import main; sys.exit(main(['train', '-e', 'one.yaml']))"
    )
    command = [sys.executable, "-c", script, str(repository / "scripts")]
    done = subprocess.run(
        command, cwd=tmp_path, env=bare(HOME="/nonexistent"), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    model = Path(tmp_path / "results/one/train/model.tlt")
    assert model.stat().st_mode & 0o077 == 0
