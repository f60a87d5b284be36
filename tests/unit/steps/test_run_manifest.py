"""The images of a run are found where they are now."""

import io
import shutil

import pandas as pd
import pytest
import yaml
from secateur.run import Run
from secateur.spec import load_spec
from secateur.steps.identity import training_identity
from secateur.steps.run_manifest import manifest_of, pixels_and_labels
from secateur.steps.split import split_step

from tests.conftest import write_class_folders


def run_of(folder, name, **data):
    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump({"data": {"preprocess_mode": "tf", **data}}))
    return Run(name, load_spec(path), folder / "results" / name, folder / "work" / name)


def of(run, source):
    """The same run with its images elsewhere."""
    return Run(
        run.name, run.spec.model_copy(update={"data": run.spec.data.model_copy(update=source)}), run.results, run.work
    )


def assert_there(table, below):
    assert all(pd.io.common.file_exists(path) for path in table["path"])
    assert all(path.startswith(f"{below}/") for path in table["path"])


def test_a_renamed_folder(tmp_path, class_folders):
    run = run_of(tmp_path, "one", source=str(class_folders))
    split_step(run, io.StringIO())
    before = manifest_of(run)
    class_folders.rename(tmp_path / "photos")
    moved = manifest_of(of(run, {"source": str(tmp_path / "photos")}))
    assert_there(moved, tmp_path / "photos")
    assert before.drop(columns="path").equals(moved.drop(columns="path"))


def test_folders_that_are_split_already(tmp_path):
    for name in ("train", "val"):
        write_class_folders(tmp_path / "a" / name)
        for path in (tmp_path / "a" / name).rglob("*.jpg"):
            path.write_bytes(path.read_bytes() + name.encode())
    places = {"train_dataset_path": str(tmp_path / "a/train"), "val_dataset_path": f"{tmp_path}/a/val/"}
    run = run_of(tmp_path, "one", **places)
    split_step(run, io.StringIO())
    (tmp_path / "a/train").rename(tmp_path / "training")
    (tmp_path / "a/val").rename(tmp_path / "trained")
    moved = of(run, {"train_dataset_path": f"{tmp_path}/training", "val_dataset_path": str(tmp_path / "trained")})
    table = manifest_of(moved)
    assert_there(table[table["split"].eq("train")], tmp_path / "training")
    assert_there(table[table["split"].eq("val")], tmp_path / "trained")


def test_a_table(tmp_path, class_folders):
    paths = sorted(class_folders.rglob("*.jpg"))
    rows = pd.DataFrame(
        {"path": [p.relative_to(class_folders) for p in paths], "class": [p.parent.name for p in paths]}
    )
    rows.to_csv(class_folders / "all.csv", index=False)
    run = run_of(tmp_path, "one", source=str(class_folders / "all.csv"))
    split_step(run, io.StringIO())
    class_folders.rename(tmp_path / "photos")
    assert_there(manifest_of(of(run, {"source": str(tmp_path / "photos/all.csv")})), tmp_path / "photos")


def test_a_split_that_was_taken_over_from_the_same_images_elsewhere(tmp_path, class_folders):
    first = run_of(tmp_path, "one", source=str(class_folders))
    split_step(first, io.StringIO())
    shutil.copytree(class_folders, tmp_path / "copied")
    second = run_of(tmp_path, "two", source=str(tmp_path / "copied"))
    stream = io.StringIO()
    split_step(second, stream)
    assert "the same images as" in stream.getvalue()
    shutil.rmtree(class_folders)
    assert_there(manifest_of(second), tmp_path / "copied")


def test_a_split_is_not_taken_over_when_contents_differ(tmp_path, class_folders):
    split_step(run_of(tmp_path, "one", source=str(class_folders)), io.StringIO())
    shutil.copytree(class_folders, tmp_path / "copied")
    one, two = tmp_path / "copied/dark/00.jpg", tmp_path / "copied/light/00.jpg"
    content = one.read_bytes()
    one.write_bytes(two.read_bytes())
    two.write_bytes(content)
    stream = io.StringIO()
    split_step(run_of(tmp_path, "two", source=str(tmp_path / "copied")), stream)
    assert "the same images as" not in stream.getvalue()


@pytest.mark.parametrize("column", ["sha256", "class", "split"])
def test_the_identity_of_a_training_is_pixels_and_labels(tmp_path, class_folders, column):
    run = run_of(tmp_path, "one", source=str(class_folders))
    split_step(run, io.StringIO())
    table, classes = manifest_of(run), ["dark", "light"]
    before = training_identity(run, "train", run.spec.train, table, classes)
    class_folders.rename(tmp_path / "photos")
    moved = of(run, {"source": str(tmp_path / "photos")})
    assert training_identity(moved, "train", moved.spec.train, manifest_of(moved), classes) == before
    changed = table.copy()
    changed.loc[3, column] = "other"
    assert pixels_and_labels(changed) != pixels_and_labels(table)
    assert pixels_and_labels(table[::-1]) != pixels_and_labels(table), "batches depend on the order"
