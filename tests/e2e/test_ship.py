"""What is shipped, used as its receiver would: another program, an empty environment, a browser."""

import hashlib
import json
import shutil
import subprocess
import sys

import numpy as np
import onnxruntime
import pandas as pd
import pytest
from secateur.cli.main import main
from secateur.spec import load_spec

from tests.shared import PASS_PHRASE, PHOTOGRAPHS, copied

pytestmark = pytest.mark.slow

SPEC = (
    PHOTOGRAPHS
    + """
prune: {{target_macs: 0.5}}
retrain: {{num_epochs: 1, qat: True}}
inference: {{image_dir: {images}/test/shoes}}
export: {{output_path: EXPORTDIR/c.onnx, targets: [tflite, openvino]}}
"""
)


@pytest.fixture(scope="module")
def shipped(photographs, clothing, tmp_path_factory):
    """A pruned network of photographs, retrained for int8, and its bundle. Its training is the one that tests share."""
    folder = copied(photographs, tmp_path_factory.mktemp("ship it"))
    spec = folder / "c.yaml"
    spec.write_text(SPEC.format(images=clothing, results=folder / "out", key="env:SHIP_KEY"))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("SHIP_KEY", PASS_PHRASE)
        for step in ("prune", "retrain", "evaluate", "export"):
            assert main([step, "-e", str(spec)]) == 0
    return folder


def read(folder, name):
    return json.loads((folder / "out" / name).read_text())


def predictions(folder):
    return pd.read_csv(folder / "out/evaluate/retrain/predictions.csv", dtype={"class": str, "predicted": str})


def test_qat_without_data_type_ships_int8_and_all_layers_are_integers(shipped):
    metrics = read(shipped, "export/metrics.json")
    assert set(metrics["files"]) == {"c.onnx", "c.tensorrt.onnx", "c.tflite", "c.int8.tflite", "c.xml"}
    main_file = metrics["files"]["c.onnx"]
    assert main_file["data_type"] == "int8"
    assert main_file["integers"]["in_float"] == []
    assert metrics["images"] == 372
    evaluated = read(shipped, "evaluate/retrain/metrics.json")["top_1"]
    assert metrics["keras"]["top_1"] != pytest.approx(0, abs=1e-9)
    assert main_file["keras"]["top_1"] == pytest.approx(evaluated, abs=0.02), "evaluate measures what will be shipped"
    for name, file in metrics["files"].items():
        assert file["top_1_agreement"] >= (0.999 if file["data_type"] == "fp32" else 0.9), name
        assert file["accuracy"]["top_1"] == pytest.approx(file["keras"]["top_1"], abs=0.05)
    assert set(metrics["files"]["c.xml"]["on_this_cpu"]) == {"top_1_agreement", "max_difference", "accuracy"}
    assert read(shipped, "export/calibration.json")["measured_on"] == "training (qat)"


def test_the_manifest_has_every_file_and_its_digest(shipped):
    folder = shipped / "out/export"
    manifest = read(shipped, "export/MANIFEST.json")
    there = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert set(manifest["files"]) == there - {"MANIFEST.json"}
    for name, entry in manifest["files"].items():
        assert entry["sha256"] == hashlib.sha256((folder / name).read_bytes()).hexdigest()
    assert manifest["model_sha256"] == read(shipped, "evaluate/retrain/metrics.json")["model_sha256"]


def test_triton_gets_a_repository_and_the_model_in_it(shipped):
    folder = shipped / "out/export"
    assert (folder / "triton/c/1/model.onnx").read_bytes() == (folder / "c.onnx").read_bytes()
    labels = (folder / "triton/c/labels.txt").read_text().split()
    assert labels == (folder / "labels.txt").read_text().split()
    session = onnxruntime.InferenceSession(folder / "triton/c/1/model.onnx")
    given = session.get_inputs()[0]
    assert f"dims: [ {', '.join(map(str, given.shape[1:]))} ]" in (folder / "triton/c/config.pbtxt").read_text()


def test_latency_compares_three_networks_in_one_run(shipped):
    cases = read(shipped, "export/latency.json")["cases"]
    names = list(dict.fromkeys(case["network"] for case in cases))
    assert names == ["unpruned fp32", "pruned fp32", "exported int8"]
    assert {(case["threads"], case["batch"]) for case in cases} >= {(1, 1), (1, 8)}
    for case in cases:
        assert 0 < case["p50_ms"] <= case["p90_ms"] <= case["p99_ms"]
        assert (case["ratio"] == 1) == (case["network"] == names[0])


def test_the_model_card_has_the_figures(shipped):
    card = (shipped / "out/export/README.md").read_text()
    metrics = read(shipped, "export/metrics.json")
    assert f"{metrics['files']['c.onnx']['accuracy']['top_1']:.4f}" in card
    for words in (
        "resnet_10, pruned and retrained, for int8",
        "10 classes: dress, hat",
        "3,068 train",
        "c.tensorrt.onnx",
    ):
        assert words in card


def test_predict_reads_images_as_the_product_does(shipped, clothing, tmp_path):
    """The int8 file; that of fp32, in an empty environment and against evaluate, is in test_clothing."""
    shutil.copytree(shipped / "out/export", tmp_path / "received")
    images = sorted(str(path) for path in (clothing / "test").rglob("*.jpg"))
    done = subprocess.run(
        [sys.executable, "-I", tmp_path / "received/predict.py", *images],
        capture_output=True,
        text=True,
        check=True,
        cwd="/",
    )
    rows = [line.split("\t") for line in done.stdout.splitlines()]
    assert [row[0] for row in rows] == images
    mine = {row[0]: row[1] for row in rows}
    # The same file by the product's own reading of images: nothing but the image code may differ, and it does not.
    theirs = dict(zip(images, by_runner(shipped, images), strict=True))
    assert mine == theirs
    evaluated = predictions(shipped).set_index("path")["predicted"]
    metrics = read(shipped, "export/metrics.json")["files"]["c.onnx"]
    agreeing = np.mean([mine[path] == evaluated[path] for path in images])
    assert agreeing >= metrics["top_1_agreement"] - 0.01


def by_runner(shipped, images):
    from secateur.export.final_model import Pixels
    from secateur.export.runners import onnx_runner
    from secateur.run import run_of

    run = run_of("c", load_spec(shipped / "c.yaml"), shipped)
    runner = onnx_runner((shipped / "out/export/c.onnx").read_bytes(), run.spec)
    labels = (shipped / "out/export/labels.txt").read_text().split()
    answers = np.concatenate([runner(batch) for batch in Pixels(run.spec, images).batches()])
    return [labels[index] for index in answers.argmax(axis=1)]


PLAIN = "export.model_path={train}"
OTHER_WAYS = {
    "fp16 embedded": "export.data_type=fp16 export.embed_preprocessing=True",
    "int8 by images": f"export.data_type=int8 {PLAIN} export.calibration.images=64 export.int8_max_drop=0.02",
    "int8 sealed": f"export.data_type=int8 {PLAIN} export.output_path=EXPORTDIR/s.etlt "
    "export.cal_image_dir={images}/train/hat export.batches=2 export.batch_size=16",
    "fp32 of a qat network": "export.data_type=fp32 export.layout=nhwc",
}


@pytest.mark.parametrize("more", [text.split() for text in OTHER_WAYS.values()], ids=list(OTHER_WAYS))
def test_other_ways_to_ship(shipped, clothing, tmp_path, monkeypatch, more, capsys):
    monkeypatch.setenv("SHIP_KEY", PASS_PHRASE)
    monkeypatch.chdir(tmp_path)
    shutil.copytree(shipped / "out", tmp_path / "out", ignore=shutil.ignore_patterns("export", ".locks"))
    names = {"train": tmp_path / "out/train/model.tlt", "images": clothing}
    words = ["export.targets=[]", f"results_dir={tmp_path}/out", *(word.format(**names) for word in more)]
    assert main(["export", "-e", str(shipped / "c.yaml"), *words]) == 0, capsys.readouterr().err
    metrics = json.loads((tmp_path / "out/export/metrics.json").read_text())
    first = next(iter(metrics["files"].values()))
    assert first["data_type"] == dict(word.split("=") for word in more)["export.data_type"]
    assert first["accuracy"]["top_1"] == pytest.approx(first["keras"]["top_1"], abs=0.04)
    card = json.loads((tmp_path / "out/export/preprocessing.json").read_text())
    assert card["embedded"] == ("export.embed_preprocessing=True" in more)
    if "export.int8_max_drop=0.02" in more:
        calibration = json.loads((tmp_path / "out/export/calibration.json").read_text())
        found = calibration["validation_top_1"]
        assert found["fp32"] - found["chosen"] <= 0.02
        assert calibration["measured_on"] == "64 images"
    if "export.batches=2" in more:
        assert json.loads((tmp_path / "out/export/calibration.json").read_text())["measured_on"] == "32 images"
        assert not list((tmp_path / "out/export").rglob("*.onnx")), "no encrypted model is there as plain text"
        rekeyed = tmp_path / "out/export/s.etlt"
        monkeypatch.setenv("NEW_KEY", "another")
        assert main(["rekey", str(rekeyed), "--key", "env:SHIP_KEY", "--new-key", "env:NEW_KEY"]) == 0
        manifest = json.loads((tmp_path / "out/export/MANIFEST.json").read_text())
        assert manifest["files"]["s.etlt"]["sha256"] == hashlib.sha256(rekeyed.read_bytes()).hexdigest()


def test_the_gate_stops_a_file_that_answers_otherwise(shipped, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("SHIP_KEY", PASS_PHRASE)
    monkeypatch.chdir(tmp_path)
    shutil.copytree(shipped / "out", tmp_path / "out", ignore=shutil.ignore_patterns("export", ".locks"))
    words = ["export.targets=[]", f"results_dir={tmp_path}/out", "export.parity.max_difference=1e-9"]
    assert main(["export", "-e", str(shipped / "c.yaml"), *words]) == 6
    said = capsys.readouterr().err
    assert "c.onnx answers differently from Keras: same top-1 on" in said
    assert "hint: set export.int8_max_drop" in said
    assert not list((tmp_path / "out/export").glob("c*.onnx"))


def test_an_engine_without_tensorrt_is_one_clear_error(shipped, monkeypatch, capsys):
    if "tensorrt" in sys.modules or __import__("importlib.util").util.find_spec("tensorrt"):
        pytest.skip("TensorRT is installed here")
    monkeypatch.setenv("SHIP_KEY", PASS_PHRASE)
    assert main(["engine", "-e", str(shipped / "c.yaml")]) == 6
    said = capsys.readouterr().err
    assert "packages for building a TensorRT engine are missing: tensorrt, cuda-python" in said


def test_an_engine_is_measured_and_written_once_it_agrees(shipped, tensorrt, monkeypatch, tmp_path):
    """With the stand-in for TensorRT: what is around it is real."""
    tensorrt.pretend("11.4.0.106")
    monkeypatch.setenv("SHIP_KEY", PASS_PHRASE)
    asked = [f"export.engine_file={tmp_path}/own.engine", "export.max_batch_size=16"]
    assert main(["engine", "-e", str(shipped / "c.yaml"), *asked]) == 0
    metrics = read(shipped, "engine/metrics.json")
    assert (metrics["data_type"], metrics["images"], metrics["tensorrt"]) == ("int8", 372, "11.4.0.106")
    beside = read(shipped, "export/metrics.json")["files"]["c.tensorrt.onnx"]
    assert metrics["accuracy"]["top_1"] == pytest.approx(beside["accuracy"]["top_1"])
    assert (tmp_path / "own.engine").read_bytes() == (shipped / "out/engine/model.engine").read_bytes()
