"""The model of another run: its own card says its classes and its preprocessing, in every step that takes a model."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from secateur.cli.main import main
from secateur.models.cost import cost_of
from secateur.models.file import load_model, save_model
from secateur.run import run_of
from secateur.spec import load_spec
from secateur.steps.index import experiment

pytestmark = pytest.mark.slow
KEY = "secret-pass-phrase"
TRAINED = "results/one/train/model.tlt"


@pytest.fixture
def folder(tmp_path, trained, monkeypatch):
    """A trained run, and `other.tlt` beside it: the same model with its classes in another order."""
    shutil.copytree(trained, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    model, card = load_model(TRAINED, KEY)
    head = model.layers[-2]
    head.set_weights([weight[..., ::-1] for weight in head.get_weights()])
    assert card["classes"] == ["dark", "light"]
    save_model(model, tmp_path / "other.tlt", KEY, {**card, "classes": ["light", "dark"]})
    return tmp_path


def with_card(path, **changed):
    """Write `path` with other values in its card."""
    model, card = load_model("other.tlt", KEY)
    save_model(model, path, KEY, {**card, **changed})


def trained_in_caffe_mode(path):
    """Write `path`, whose card says that it was trained so."""
    chain = load_model("other.tlt", KEY)[1]["provenance"]
    split, *later = chain
    data = {**split["data"], "preprocess_mode": "caffe", "image_mean": None}
    with_card(path, provenance=[{**split, "data": data}, *later])


def evaluated(*words):
    assert main(["evaluate", "-e", "one.yaml", *words]) == 0
    folder = "results/one/evaluate/" + ("external" if words else "train")
    with open(f"{folder}/metrics.json") as file:
        return json.load(file), pd.read_csv(f"{folder}/predictions.csv")


def test_inference_says_which_new_images_are_constant_or_out_of_range(folder, capsys):
    rng = np.random.default_rng(0)
    (folder / "new").mkdir()
    Image.new("RGBA", (60, 60), (9, 9, 9, 0)).save(folder / "new/icon.png")
    Image.fromarray(rng.integers(0, 4096, (60, 60)).astype(np.uint16)).save(folder / "new/twelve_bit.png")
    Image.fromarray(rng.uniform(-3, 3, (60, 60)).astype(np.float32)).save(folder / "new/scan.tif")
    Image.fromarray(rng.integers(0, 256, (60, 60), dtype=np.uint8)).save(folder / "new/plain.png")
    assert main(["inference", "-e", "one.yaml", "inference.image_dir=new"]) == 0
    said = [line for line in capsys.readouterr().err.splitlines() if "warning" in line]
    assert said == [
        "inference  warning: images of one colour: 1; transparent ones may need another data.background; "
        "such as new/icon.png",
        "inference  warning: images that are nearly black: 1; such as new/twelve_bit.png",
        "inference  warning: images with values out of data.value_range, which are clipped: 1; such as new/scan.tif",
    ]


def test_another_order_of_the_classes_is_mapped_by_name(folder, capsys):
    own, own_rows = evaluated()
    capsys.readouterr()
    other, rows = evaluated("evaluate.model_path=other.tlt")
    assert "evaluate  other.tlt: the model has its 2 classes in another order" in capsys.readouterr().err
    assert other["top_1"] == own["top_1"]
    pd.testing.assert_frame_equal(rows, own_rows, atol=1e-6)
    assert main(["inference", "-e", "one.yaml", "inference.model_path=other.tlt", "inference.image_dir=images"]) == 0
    answers = pd.read_csv("results/one/inference/result.csv", names=["path", "label", "confidence"]).set_index("path")
    assert list(answers.loc[own_rows["path"], "label"]) == list(own_rows["predicted"])


def test_an_exported_model_has_the_labels_of_its_outputs(folder, capsys):
    assert main(["export", "-e", "one.yaml", "export.model_path=other.tlt", "export.output_path=EXPORTDIR/m.onnx"]) == 0
    assert "export  other.tlt: the model has its 2 classes in another order" in capsys.readouterr().err
    with open("results/one/export/metrics.json") as file:
        figures = json.load(file)["files"]["m.onnx"]
    own, _ = evaluated()
    assert figures["accuracy"]["top_1"] == own["top_1"]
    assert figures["top_1_agreement"] == 1
    assert (folder / "results/one/export/labels.txt").read_text().split() == ["dark", "light"]


@pytest.mark.parametrize(
    "words",
    [
        ["evaluate", "evaluate.model_path=wrong.tlt"],
        ["inference", "inference.model_path=wrong.tlt", "inference.image_dir=images"],
        ["export", "export.model_path=wrong.tlt"],
        ["prune", "prune.model_path=wrong.tlt", "prune.threshold=0.5", "prune.importance=taylor"],
    ],
    ids=lambda words: words[0],
)
def test_other_classes_of_equal_number_are_refused(folder, capsys, words):
    with_card("wrong.tlt", classes=["night", "day"])
    step, *more = words
    assert main([step, "-e", "one.yaml", *more]) == 6
    said = capsys.readouterr().err
    assert "wrong.tlt: the model was trained on the classes night, day; the class map has dark, light" in said


def test_another_number_of_classes_is_refused_with_both_lists(folder, capsys):
    with_card("wrong.tlt", classes=["dark", "light", "none"])
    assert main(["evaluate", "-e", "one.yaml", "evaluate.model_path=wrong.tlt"]) == 6
    assert "on the classes dark, light, none; the class map has dark, light" in capsys.readouterr().err


def test_the_head_of_other_classes_is_not_copied(folder, capsys):
    with_card("wrong.tlt", classes=["night", "day"])
    assert main(["train", "-e", "one.yaml", "results_dir=again", "train.pretrained_model_path=wrong.tlt"]) == 0
    assert "new head: predictions_dense; its head was trained on other classes" in capsys.readouterr().err


def test_a_named_model_keeps_its_preprocessing(folder, capsys):
    trained_in_caffe_mode("caffe.tlt")
    other, _ = evaluated("evaluate.model_path=caffe.tlt")
    assert "caffe.tlt was trained with data.preprocess_mode caffe, which is used here" in capsys.readouterr().err
    assert other["from_card"] == {"data.preprocess_mode": "caffe"}
    as_said, _ = evaluated("evaluate.model_path=other.tlt")
    assert other["loss"] != as_said["loss"]
    assert main(["export", "-e", "one.yaml", "export.model_path=caffe.tlt"]) == 0
    with open("results/one/export/preprocessing.json") as file:
        assert json.load(file)["preprocess_mode"] == "caffe"
    assert "`data.preprocess_mode: caffe`" in (folder / "results/one/export/README.md").read_text()


def test_the_spec_has_changed_since_the_training(folder, capsys):
    assert main(["evaluate", "-e", "one.yaml", "data.preprocess_mode=caffe"]) == 6
    said = capsys.readouterr().err
    assert "was trained with data.preprocess_mode tf; the spec has data.preprocess_mode caffe" in said


def test_a_student_learns_nothing_from_a_teacher_of_other_preprocessing(folder, capsys):
    trained_in_caffe_mode("caffe.tlt")
    words = ["prune.model_path=caffe.tlt", "prune.threshold=0.5", "retrain.distill.alpha=0.5"]
    assert main(["prune", "-e", "one.yaml", *words]) == 0
    assert main(["retrain", "-e", "one.yaml", *words]) == 6
    assert "was trained with data.preprocess_mode caffe" in capsys.readouterr().err


def test_a_model_that_was_trained_with_another_split_is_said(folder, capsys):
    chain = load_model("other.tlt", KEY)[1]["provenance"]
    with_card("elsewhere.tlt", provenance=[{**chain[0], "manifest_sha256": "0" * 64}, *chain[1:]])
    evaluated("evaluate.model_path=elsewhere.tlt")
    assert "elsewhere.tlt: warning: it was trained with another split" in capsys.readouterr().err
    evaluated("evaluate.model_path=other.tlt")
    assert "another split" not in capsys.readouterr().err


def test_figures_beside_an_exported_model_are_those_of_this_model(folder):
    cut = ["results_dir=elsewhere", "prune.model_path=other.tlt", "prune.threshold=0.7"]
    assert main(["prune", "-e", "one.yaml", *cut]) == 0
    shutil.copy("elsewhere/prune/model.tlt", "small.tlt")
    small = cost_of(load_model("small.tlt", KEY)[0])
    evaluated()
    words = ["export.model_path=small.tlt"]
    for step in ("export", "report"):
        assert main([step, "-e", "one.yaml", *words]) == 0
    with open("results/one/export/latency.json") as file:
        assert {case["network"] for case in json.load(file)["cases"]} == {"given fp32", "exported fp32"}
    card = (folder / "results/one/export/README.md").read_text()
    assert "from the model file `small.tlt`" in card
    assert "Images of the run that exported it: " in card
    assert "is made of the model file small.tlt, not of this run" in (folder / "results/one/report.html").read_text()
    row = experiment("one", run_of("one", load_spec("one.yaml", words)))
    assert (row["params"], row["macs"]) == (small.params, small.macs)


def test_a_step_with_values_that_the_spec_does_not_have_is_said(folder, capsys):
    (folder / ".snakemake").mkdir()
    assert main(["evaluate", "-e", "one.yaml", "evaluate.top_k=1"]) == 0
    assert "warning: made with other values of evaluate.top_k than the spec's" in capsys.readouterr().err
    assert main(["evaluate", "-e", "one.yaml"]) == 0
    assert "other values" not in capsys.readouterr().err
