"""Photographs through the whole chain at the command line, a few epochs."""

import json
import subprocess
import sys

import onnxruntime
import pandas as pd
import pyrage
import pytest
from secateur.cli.main import main

from tests.shared import PASS_PHRASE, PHOTOGRAPHS, copied

pytestmark = pytest.mark.slow

SPEC = (
    PHOTOGRAPHS
    + """
prune: {{threshold: 0.9}}
retrain: {{num_epochs: 1, reg_config: {{type: none}}}}
inference: {{image_dir: {images}/test/shoes}}
export: {{output_path: EXPORTDIR/clothing.etlt}}
"""
)


def test_the_whole_chain(photographs, clothing, tmp_path, capsys, monkeypatch):
    """Its training is the one that tests share."""
    copied(photographs, tmp_path)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "key").write_text(f"{PASS_PHRASE}\n")
    (tmp_path / "key").chmod(0o600)
    spec = tmp_path / "clothing.yaml"
    spec.write_text(SPEC.format(images=clothing, results=tmp_path / "out", key=f"file:{tmp_path}/key"))
    for step in ("prune", "retrain", "evaluate", "inference", "export"):
        assert main([step, "-e", str(spec)]) == 0, capsys.readouterr().err
    assert main(["evaluate", "-e", str(spec), f"evaluate.model_path={tmp_path}/out/train/model.tlt"]) == 0
    after, before = (
        json.loads((tmp_path / f"out/evaluate/{s}/metrics.json").read_text()) for s in ("retrain", "train")
    )
    assert before["images"] == after["images"] == 372
    assert after["top_1"] > 0.35, "ten classes, the largest of them a fifth of the images"
    assert after["params"] < before["params"]
    assert after["top_k"] > after["top_1"]
    parity = json.loads((tmp_path / "out/export/clothing.etlt.parity.json").read_text())
    assert parity["max_difference"] < 1e-4
    assert len((tmp_path / "out/inference/result.csv").read_text().splitlines()) == len(
        list((clothing / "test/shoes").iterdir())
    )
    sealed = (tmp_path / "out/export/clothing.etlt").read_bytes()
    plain = pyrage.passphrase.decrypt(sealed, PASS_PHRASE)
    assert b"predictions" in plain
    python, script = empty_environment(tmp_path), tmp_path / "out/export/predict.py"
    assert predicted(python, script, clothing, "--key", f"file:{tmp_path}/key") == evaluated(tmp_path)
    assert not list((tmp_path / "out/export").rglob("*.onnx")), "the plain model is never on the disk"
    (tmp_path / "out/export/clothing.onnx").write_bytes(plain)
    assert predicted(python, script, clothing) == evaluated(tmp_path)


def empty_environment(folder):
    """A Python with the packages that the card of an encrypted bundle names and nothing else."""
    subprocess.run([sys.executable, "-m", "venv", folder / "empty"], check=True)
    python = folder / "empty/bin/python"
    packages = [f"onnxruntime=={onnxruntime.__version__}", "numpy", "pillow", "pyrage"]
    subprocess.run(
        [python, "-m", "pip", "install", "-q", "--disable-pip-version-check", *packages],
        check=True,
        capture_output=True,
    )
    missing = subprocess.run([python, "-c", "import keras"], capture_output=True, check=False)
    assert missing.returncode != 0
    return python


def predicted(python, script, clothing, *words):
    """What the bundle's own script says of every test image."""
    images = sorted(str(path) for path in (clothing / "test").rglob("*.jpg"))
    done = subprocess.run([python, "-I", script, *words, *images], capture_output=True, text=True, check=True, cwd="/")
    return dict(line.split("\t")[:2] for line in done.stdout.splitlines())


def evaluated(folder):
    table = pd.read_csv(folder / "out/evaluate/retrain/predictions.csv", dtype={"predicted": str})
    return dict(zip(table["path"], table["predicted"], strict=True))
