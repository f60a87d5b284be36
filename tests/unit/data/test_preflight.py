"""What split finds out about images before anything is trained."""

import io
import json
import shutil

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from secateur.data.manifest import read_manifest
from secateur.data.similar import MAX_DISTANCE, NO_HASH, perceptual_hash, similar_pairs
from secateur.spec import parse_spec
from secateur.steps.split import split

from tests.conftest import write_jpeg


def run(root, out, **data):
    report = split(parse_spec(json.dumps({"data": {"source": str(root), **data}})), out)
    findings = pd.read_csv(out / "findings.csv", keep_default_na=False)
    return read_manifest(out / "manifest.csv"), report, findings


def picture(seed, side=96):
    """Smooth shapes, as photographs have them: noise has no look."""
    small = np.random.default_rng(seed).integers(0, 256, (6, 6, 3), dtype=np.uint8)
    return Image.fromarray(small).resize((side, side), Image.Resampling.BICUBIC)


def changed(image, how):
    if how == "smaller":
        return image.resize((image.width // 2, image.height // 2))
    if how == "darker":
        return image.point(lambda value: int(value * 0.9))
    out = io.BytesIO()
    image.save(out, "jpeg", quality=40)
    return Image.open(out)


@pytest.fixture
def pictures(tmp_path):
    for label in range(2):
        (tmp_path / f"images/{'ab'[label]}").mkdir(parents=True)
        for number in range(30):
            picture(100 * label + number).save(tmp_path / f"images/{'ab'[label]}/{number:02}.png")
    return tmp_path / "images"


@pytest.mark.parametrize("how", ["smaller", "darker", "compressed"])
def test_copies_look_alike_and_others_do_not(how):
    hashes = [perceptual_hash(picture(seed)) for seed in range(40)]
    again = [perceptual_hash(changed(picture(seed), how)) for seed in range(40)]
    assert NO_HASH not in hashes
    assert [(one ^ two).bit_count() <= MAX_DISTANCE for one, two in zip(hashes, again, strict=True)].count(True) >= 38
    assert similar_pairs(np.array(hashes, np.uint64)).tolist() == []


@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA", "P", "CMYK", "I;16", "1", "LA"])
def test_flat_and_tiny_images_have_no_look(mode):
    assert perceptual_hash(Image.new(mode, (64, 64))) == NO_HASH
    assert perceptual_hash(picture(1, side=31)) == NO_HASH


def test_pairs_are_those_of_all_against_all():
    rng = np.random.default_rng(0)
    base = rng.integers(1, 2**63, 500, dtype=np.uint64)
    near = base[:200] ^ (np.uint64(1) << rng.integers(0, 64, 200).astype(np.uint64))
    far = base[:50] ^ np.uint64(0b11111)
    hashes = rng.permutation(np.concatenate([base, near, near[:20], far]))
    one, two = np.triu_indices(len(hashes), 1)
    close = np.bitwise_count(hashes[one] ^ hashes[two]) <= MAX_DISTANCE

    def connected(pairs):
        from scipy.sparse import coo_array
        from scipy.sparse.csgraph import connected_components

        graph = coo_array((np.ones(len(pairs)), pairs.T), shape=(len(hashes), len(hashes)))
        return connected_components(graph, directed=False)[1]

    found = similar_pairs(hashes)
    assert np.array_equal(connected(found), connected(np.stack([one[close], two[close]], 1)))
    assert (np.bitwise_count(hashes[found[:, 0]] ^ hashes[found[:, 1]]) <= MAX_DISTANCE).all()


def test_a_crowd_of_one_look_takes_linear_pairs():
    assert len(similar_pairs(np.full(100_000, 12345, np.uint64))) == 99_999
    assert len(similar_pairs(np.zeros(1000, np.uint64))) == 0
    assert len(similar_pairs(np.empty(0, np.uint64))) == 0


def test_leaks_between_splits_are_found_and_can_be_avoided(pictures, tmp_path):
    for number in range(30):
        changed(picture(number), "smaller").save(pictures / f"a/copy{number:02}.png")
    table, report, findings = run(pictures, tmp_path / "apart")
    leaks = findings[findings["kind"] == "looks alike in two splits"]
    place = table.set_index("path")["split"]
    assert len(leaks) == report["findings"]["looks alike in two splits"] > 3
    assert all(place[one] != place[two] for one, two in zip(leaks["path"], leaks["other"], strict=True))
    assert len(leaks) + report["findings"]["looks alike"] == 30
    assert any("data.group: similar" in words for words in report["warnings"])
    _, report, findings = run(pictures, tmp_path / "together", group="similar")
    assert report["findings"] == {"looks alike": 30}
    assert not report["warnings"] or "similar" not in " ".join(report["warnings"])


def test_alike_in_two_classes(pictures, tmp_path):
    changed(picture(3), "smaller").save(pictures / "b/copy.png")
    _, report, findings = run(pictures, tmp_path / "out", group="similar")
    assert report["findings"] == {"looks alike in two classes": 1}
    row = findings.iloc[0]
    assert {row["path"], row["other"]} == {f"{pictures}/a/03.png", f"{pictures}/b/copy.png"}
    assert row["detail"].endswith("class a and b")
    assert any("two classes; one may be wrong: 1;" in words for words in report["warnings"])


def test_one_image_in_two_classes(class_folders, tmp_path):
    shutil.copy(class_folders / "dark/00.jpg", class_folders / "light/zz.jpg")
    shutil.copy(class_folders / "dark/01.jpg", class_folders / "dark/zz.jpg")
    table, report, findings = run(class_folders, tmp_path / "out")
    assert len(table) == 24
    assert report["findings"]["duplicate"] == report["findings"]["label conflict"] == 1
    row = findings[findings["kind"] == "label conflict"].iloc[0]
    assert (row["path"], row["other"]) == (f"{class_folders}/light/zz.jpg", f"{class_folders}/dark/00.jpg")
    assert row["detail"] == "class light; the kept image has class dark"
    assert any("are in two classes, and were left out of the second one: 1;" in words for words in report["warnings"])


def test_imbalance_is_told(class_folders, tmp_path):
    rng = np.random.default_rng(0)
    for number in range(200):
        write_jpeg(class_folders / f"dark/more{number}.jpg", rng.integers(0, 256, (8, 8, 3)))
    _, report, _ = run(class_folders, tmp_path / "out")
    balance = report["images_are"]["imbalance"]
    assert (balance["largest"][0], balance["smallest"][0]) == ("dark", "light")
    assert balance["ratio"] == balance["largest"][1] / balance["smallest"][1] > 10
    assert any("data.sampling: balanced" in words for words in report["warnings"])


@pytest.mark.parametrize(("one", "two"), [("T-Shirt", "t_shirt"), ("Hat", "hat"), ("red shoe", "redshoe")])
def test_class_names_that_differ_in_case_or_punctuation(class_folders, tmp_path, one, two):
    (class_folders / "dark").rename(class_folders / one)
    (class_folders / "light").rename(class_folders / two)
    _, report, _ = run(class_folders, tmp_path / "out")
    assert any("differ only in case or punctuation" in words for words in report["warnings"])


def test_sizes_and_modes(class_folders, tmp_path):
    Image.new("L", (500, 20), 77).save(class_folders / "dark/gray.png")
    _, report, _ = run(class_folders, tmp_path / "out")
    facts = report["images_are"]
    assert facts["width"] == {"least": 30, "median": 30, "most": 500}
    assert facts["modes"] == {"RGB": 24, "L": 1}


def test_page(pictures, tmp_path):
    changed(picture(0), "smaller").save(pictures / "a/<copy>.png")
    shutil.copy(pictures / "a/01.png", pictures / "b/conflict.png")
    _, report, _ = run(pictures, tmp_path / "out")
    html = (tmp_path / "out/report.html").read_text()
    assert f"{report['images']:,} images of 2 classes" in html
    assert html.count("data:image/webp;base64,") == 4
    assert "&lt;copy&gt;.png" in html and "<copy>" not in html
    assert "<script" not in html and "http" not in html
