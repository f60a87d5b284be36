"""The cache step and what uses it, by the command line: the same training with and without."""

import io
import json
from pathlib import Path

import pytest
import yaml
from secateur.cli.main import main
from secateur.run import run_of
from secateur.spec import parse_spec
from secateur.steps.train import train

SPEC = {
    "key": "k",
    "data": {"source": "images", "preprocess_mode": "tf"},
    "model": {"arch": "resnet_10", "input_image_size": [3, 32, 32], "use_batch_norm": True},
    "train": {"num_epochs": 2, "batch_size_per_gpu": 4},
}


@pytest.fixture
def project(tmp_path, class_folders, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("one", "two", "three"):
        Path(f"{name}.yaml").write_text(yaml.safe_dump(SPEC))
    return tmp_path


def cached():
    return sorted(Path("work/cache").glob("*.images"))


def about(name):
    return json.loads(Path(f"results/{name}/cache/image_cache.json").read_text())


def test_a_training_is_the_same_with_and_without(project, class_folders):
    assert main(["train", "-e", "one.yaml", "data.cache=always"]) == 0
    assert len(cached()) == 2
    assert about("one")["train"]["images"] + about("one")["val"]["images"] <= 24
    written = [path.stat().st_mtime_ns for path in cached()]
    assert main(["train", "-e", "two.yaml", "data.cache=never"]) == 0
    assert main(["train", "-e", "three.yaml", "train.n_workers=1"]) == 0, "auto: the files that are there"
    assert written == [path.stat().st_mtime_ns for path in cached()]
    histories = [Path(f"results/{name}/train/history.csv").read_text() for name in ("one", "two", "three")]
    assert histories[0] == histories[1] == histories[2]


def test_why_there_is_none_is_said(project, capsys):
    assert main(["split", "-e", "one.yaml"]) == 0
    assert main(["cache", "-e", "one.yaml", "data.cache=1 kB"]) == 0
    assert "bytes, the limit is 1,000; images are decoded in every epoch" in capsys.readouterr().err
    assert about("one")["train"]["file"] is None
    assert main(["cache", "-e", "one.yaml", "data.cache=never"]) == 0
    assert "skipped: data.cache is never" in capsys.readouterr().err
    assert not cached()
    assert main(["cache", "-e", "one.yaml", "data.cache=often"]) == 2
    assert "data.cache" in capsys.readouterr().err


def test_with_cached_images_a_training_does_not_need_the_files(project, class_folders):
    assert main(["split", "-e", "one.yaml"]) == 0
    assert main(["cache", "-e", "one.yaml"]) == 0
    images = list(class_folders.rglob("*.jpg"))
    for path in images[::2]:
        path.write_bytes(b"spoilt")
    spec = parse_spec(Path("one.yaml").read_text())
    metrics = train(run_of("one", spec), io.StringIO())
    assert metrics["epochs"] == 2


def test_a_training_makes_the_cache_that_is_not_there(project):
    assert main(["split", "-e", "one.yaml"]) == 0
    assert not cached()
    train(run_of("one", parse_spec(Path("one.yaml").read_text())), io.StringIO())
    assert len(cached()) == 2


def test_class_weights_by_name(project, capsys):
    assert main(["train", "-e", "one.yaml", "train.class_weights={dark: 1.0, light: 0.000001}"]) == 0
    assert main(["train", "-e", "two.yaml"]) == 0
    losses = [
        float(Path(f"results/{name}/train/history.csv").read_text().splitlines()[1].split(",")[2])
        for name in ("one", "two")
    ]
    assert losses[0] < 0.8 * losses[1], "half of the images count nothing"
    assert main(["train", "-e", "three.yaml", "train.class_weights={dim: 2.0}"]) == 2
    assert "train.class_weights names dim, which is not a class\nhint: the classes are dark, light" in (
        capsys.readouterr().err
    )
