"""The demonstration as a user runs it: real Snakemake, real training, every promise of the README."""

import json
import shutil

import numpy as np
import onnxruntime
import pandas as pd
import pyrage
import pytest
from secateur.cli.main import main

from tests.workflows import snakemake

pytestmark = pytest.mark.slow
KEY = "correct-horse-battery-staple"
FILES = """
split/manifest.csv split/classmap.json split/report.json split/findings.csv split/report.html
train/model.tlt train/history.csv train/metrics.json
prune/model.tlt prune/report.json prune/report.html
retrain/model.tlt retrain/history.csv retrain/metrics.json
evaluate/train/metrics.json evaluate/train/predictions.csv evaluate/train/confusion.csv
evaluate/retrain/metrics.json evaluate/retrain/predictions.csv evaluate/retrain/confusion.csv
inference/result.csv inference/unreadable.csv
export/resnet_10.etlt export/resnet_10.etlt.parity.json export/labels.txt export/preprocessing.json
export/metrics.json export/latency.json export/nvinfer_config.txt export/nvinfer_labels.txt export/trtexec.sh
export/predict.py export/README.md export/MANIFEST.json export/triton/resnet_10/config.pbtxt
status.json report.html ../index.html
""".split()


def run(folder, repository, *words, key=KEY):
    return snakemake("-s", str(repository / "Snakefile"), "-d", str(folder), "--cores", "all", *words, TEST_KEY=key)


@pytest.fixture(scope="module")
def finished(tmp_path_factory, repository):
    """The quickstart, run in a folder whose name has spaces, with the key in the environment."""
    folder = tmp_path_factory.mktemp("quick start")
    shutil.copytree(repository / "config", folder / "config")
    spec = folder / "config/specs/quickstart.yaml"
    text = spec.read_text()
    assert "key: demo-only" in text
    spec.write_text(text.replace("key: demo-only", "key: env:TEST_KEY"))
    result = run(folder, repository, "--resources", "gpu=2")
    assert result.returncode == 0, result.stdout + result.stderr
    return folder, result


def read(folder, name):
    return json.loads((folder / "results/quickstart" / name).read_text())


def test_every_file_of_the_table_is_there(finished):
    folder, _ = finished
    missing = [name for name in FILES if not (folder / "results/quickstart" / name).is_file()]
    assert not missing
    assert list((folder / "results/quickstart/train/tb_events").iterdir())
    assert not list((folder / "work").rglob("*.ckpt")), "a finished training needs no checkpoint"
    assert (folder / "work/quickstart/train/last.tlt").is_file()
    assert (folder / "work/quickstart/retrain/last.tlt").is_file()


def test_accuracy_and_size(finished):
    folder, _ = finished
    before, after = (read(folder, f"evaluate/{stage}/metrics.json") for stage in ("train", "retrain"))
    assert after["top_1"] >= 0.97
    assert after["params"] <= 0.5 * before["params"]
    assert after["images"] == before["images"] == read(folder, "split/report.json")["images_per_split"]["test"]
    assert read(folder, "prune/report.json")["params_after"] == after["params"]


def test_tables_agree_with_the_metrics(finished):
    folder, _ = finished
    where = folder / "results/quickstart/evaluate/retrain"
    metrics = json.loads((where / "metrics.json").read_text())
    predictions = pd.read_csv(where / "predictions.csv", dtype={"class": str, "predicted": str})
    confusion = pd.read_csv(where / "confusion.csv", index_col=0)
    assert (predictions["class"] == predictions["predicted"]).mean() == pytest.approx(metrics["top_1"])
    assert np.trace(confusion.to_numpy()) / confusion.to_numpy().sum() == pytest.approx(metrics["top_1"])
    history = pd.read_csv(folder / "results/quickstart/train/history.csv")
    assert list(history) == ["epoch", "accuracy", "loss", "lr", "val_accuracy", "val_loss"]
    assert history["epoch"].tolist() == list(range(1, 9))


def test_another_age_program_opens_the_etlt_and_it_classifies(finished):
    folder, _ = finished
    sealed = (folder / "results/quickstart/export/resnet_10.etlt").read_bytes()
    session = onnxruntime.InferenceSession(pyrage.passphrase.decrypt(sealed, KEY))
    card = read(folder, "export/preprocessing.json")
    labels = (folder / "results/quickstart/export/labels.txt").read_text().split()
    predictions = pd.read_csv(
        folder / "results/quickstart/evaluate/retrain/predictions.csv", dtype={"class": str, "predicted": str}
    )
    from PIL import Image

    for row in predictions.head(20).itertuples():
        image = Image.open(folder / row.path).resize((card["width"], card["height"]), Image.Resampling.BILINEAR)
        pixels = (np.asarray(image, np.float32)[None, None] - card["mean"][0]) * card["scale"][0]
        probabilities = session.run(["predictions"], {"input_1": pixels.astype(np.float32)})[0][0]
        assert labels[probabilities.argmax()] == row.predicted
        assert probabilities.max() == pytest.approx(row.confidence, abs=1e-4)


def test_inference_has_taos_form(finished):
    folder, _ = finished
    table = pd.read_csv(folder / "results/quickstart/inference/result.csv", header=None, dtype={1: str})
    assert len(table) == 179
    assert (table[1] == "7").mean() > 0.9
    assert table[2].between(0.1, 1).all()


def test_status_ends_in_success(finished):
    folder, _ = finished
    lines = [json.loads(line) for line in (folder / "results/quickstart/status.json").read_text().splitlines()]
    assert {line["step"] for line in lines if line["status"] == "SUCCESS"} == {
        "split", "cache", "train", "prune", "retrain", "evaluate", "inference", "export",
        "latency", "bundle", "report",
    }  # fmt: skip
    assert not [line for line in lines if line["status"] == "FAILURE"]
    assert any({"epoch", "time_per_epoch", "eta", "kpi"} <= set(line) for line in lines)


def test_the_key_is_nowhere(finished):
    folder, result = finished
    assert KEY not in result.stdout + result.stderr
    for path in folder.rglob("*"):
        if path.is_file():
            assert KEY.encode() not in path.read_bytes(), path


def test_a_second_run_has_nothing_to_do(finished, repository):
    folder, _ = finished
    result = run(folder, repository)
    assert "Nothing to be done" in result.stdout + result.stderr


def test_terminal_says_what_each_step_did(finished):
    _, result = finished
    asked = "prune  threshold 0.68, importance l2, ranking layer: kept"
    told = (
        "split  10 classes",
        "train  resnet_10  8 epochs",
        asked,
        "export  results/",
        "latency  exported fp32",
        "bundle  ",
        "report  results/quickstart/report.html",
        "index  results/index.html",
    )
    for step in told:
        assert step in result.stderr
    assert "oneDNN" not in result.stderr, "TensorFlow's noise belongs into the log"


def test_inspect_follows_the_etlt_back_to_the_manifest(finished, monkeypatch, capsys):
    folder, _ = finished
    results = folder / "results/quickstart"
    monkeypatch.setenv("TEST_KEY", KEY)
    etlt, key = str(results / "export/resnet_10.etlt"), ["--key", "env:TEST_KEY"]
    belong = [str(results / f"{name}/model.tlt") for name in ("train", "prune", "retrain")]
    belong += [str(results / name) for name in ("split/manifest.csv", "evaluate/retrain/metrics.json")]
    assert main(["inspect", etlt, *belong, *key]) == 0
    out = capsys.readouterr().out
    for words in ("age v1, scrypt work factor 16", "ONNX model", "10: 0, 1, 2", "preprocess_mode tf", "1797 images"):
        assert words in out
    about = json.loads(main(["inspect", etlt, "--json", *key]) or capsys.readouterr().out)
    assert [link["step"] for link in about["provenance"]] == ["split", "train", "prune", "retrain", "export"]
    assert about["provenance"][2]["prune"]["threshold"] == 0.68
    assert about["parameters"] > 100_000
    metrics = read(folder, "evaluate/retrain/metrics.json")
    (folder / "other.json").write_text(json.dumps({**metrics, "model_sha256": "0" * 64}))
    assert main(["inspect", etlt, str(folder / "other.json"), *key]) == 6
    assert "was measured on another model" in capsys.readouterr().err
    assert main(["inspect", belong[0], belong[2], *key]) == 6, "retrain comes after train, not before"
    assert "is not a model that this one was made from" in capsys.readouterr().err


def test_after_a_change_of_key_there_is_nothing_to_do(finished, tmp_path, repository, monkeypatch):
    folder, _ = finished
    shutil.copytree(folder, tmp_path / "again", symlinks=True)
    sealed = [str(path) for path in sorted((tmp_path / "again").rglob("*")) if path.suffix in (".tlt", ".etlt")]
    assert len(sealed) == 6
    monkeypatch.setenv("OLD", KEY)
    monkeypatch.setenv("NEW", "another")
    assert main(["rekey", *sealed, "--key", "env:OLD", "--new-key", "env:NEW"]) == 0
    result = run(tmp_path / "again", repository, key="another")
    assert "Nothing to be done" in result.stdout + result.stderr
    result = run(tmp_path / "again", repository, "--forcerun", "evaluate", key="another")
    assert result.returncode == 0, result.stderr
