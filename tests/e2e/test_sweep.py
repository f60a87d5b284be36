"""A sweep through real Snakemake: shared training, cuts in steps by gradients, a teacher, the front and `pick`."""

import os

import pandas as pd
import pytest
import yaml

from tests.programs import run_module

pytestmark = pytest.mark.slow

SPEC = """
key: env:TEST_KEY
data: {source: images, preprocess_mode: tf, split: {train: 0.5, val: 0.25, test: 0.25}}
augment: {enable_random_crop: False, enable_center_crop: False, enable_color_augmentation: False, mixup_alpha: 0.0}
model: {arch: resnet_10, input_image_size: [3, 32, 32], use_batch_norm: True}
train: {num_epochs: 2, batch_size_per_gpu: 4, lr_config: {learning_rate: 0.01}}
prune: {target_macs: 0.5, importance: taylor, ranking: global, images: 8, recalibrate_bn: True, steps: 2}
retrain: {num_epochs: 1, distill: {alpha: 0.5}}
evaluate: {top_k: 1}
export: {output_path: EXPORTDIR/m.etlt}
"""


@pytest.fixture
def project(class_folders, tmp_path, repository):
    (tmp_path / "spec.yaml").write_text(SPEC)
    (tmp_path / "config").mkdir()

    def write(shares):
        entry = {"spec": "spec.yaml", "values": {"prune.target_macs": shares}, "max_accuracy_drop": 1.0}
        (tmp_path / "config/config.yaml").write_text(yaml.safe_dump({"sweep": {"sizes": entry}}))

    def run(module, *words):
        kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
        more = {"TEST_KEY": "a key that nobody may read", "PYTHONPATH": str(repository / "scripts")}
        begin = ["-s", str(repository / "Snakefile")] if module == "snakemake" else []
        return run_module(module, [*begin, *words], tmp_path, {**kept, **more})

    return write, run, tmp_path


def test_a_sweep_from_images_to_the_recommended_point(project):
    write, run, folder = project
    write([0.6, 0.3])
    done = run("snakemake", "--cores", "2")
    assert done.returncode == 0, done.stdout + done.stderr
    text = done.stdout + done.stderr
    assert text.count("train  resnet_10  2 epochs") == 1, "the first training is shared"
    assert text.count("cut 1 of 2 done") == 2
    assert "recommended: sizes.target_macs-0.3" in text
    table = pd.read_csv(folder / "results/sweeps/sizes/pareto.csv")
    assert table["name"].tolist() == ["unpruned", "sizes.target_macs-0.6", "sizes.target_macs-0.3"]
    kept = (table["macs"] / table["macs"][0]).tolist()
    assert 0.5 < kept[1] <= 0.6
    assert 0.2 < kept[2] <= 0.3
    assert (table["latency_ms"] > 0).all()
    page = (folder / "results/sizes.target_macs-0.3/prune/report.html").read_text()
    assert "block_1a_add adds them" in page
    assert "of the multiply-accumulates" in page
    assert not list((folder / "work").rglob("step_*.tlt")), "what lies between two cuts is dropped"
    again = run("snakemake", "--cores", "2", "-n")
    assert "Nothing to be done" in again.stdout + again.stderr
    picked = run("secateur", "pick", "sizes", "--max-drop", "1")
    assert picked.stdout.startswith("recommended: sizes.target_macs-0.3"), picked.stderr
    write([0.3, 0.4])
    changed = run("snakemake", "--cores", "2", "-n")
    jobs = changed.stdout + changed.stderr
    assert "sizes.target_macs-0.4/prune/model.tlt" in jobs
    assert "rule train:" not in jobs
    assert "sizes.target_macs-0.3/prune/model.tlt\n" not in jobs
    files = [path for root in ("results", "work", "logs", ".snakemake") for path in (folder / root).rglob("*")]
    secret = b"a key that nobody may read"
    assert not [path for path in files if path.is_file() and secret in path.read_bytes()]
