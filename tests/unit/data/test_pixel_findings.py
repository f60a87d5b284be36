"""Findings of split about pixels: constant images, ranges that do not fit, transparency, metadata."""

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from secateur.cli.new_spec import new_spec
from secateur.errors import DataError
from secateur.spec import load_spec, parse_spec
from secateur.steps.split import split

from tests.odd_images import icon, picture, ramp, zoo

RNG = np.random.default_rng(0)


def folders(root, extra, count=6):
    """Two classes of noise, and further images in the first."""
    for name in ("a", "b"):
        (root / name).mkdir(parents=True)
        for number in range(count):
            Image.fromarray(RNG.integers(0, 256, (40, 40, 3), dtype=np.uint8)).save(root / name / f"{number}.png")
    for name, image in extra.items():
        image.save(root / "a" / name)
    return root


def ran(root, out, **data):
    given = ", ".join(f"{key}: {value}" for key, value in data.items())
    report = split(parse_spec(f"data: {{source: '{root}', {given}}}"), out)
    return report, pd.read_csv(out / "findings.csv"), (out / "report.html").read_text()


def dark():
    return Image.fromarray(RNG.integers(0, 12, (40, 40), dtype=np.uint8))


def of_kind(findings, kind):
    return sorted(path.rsplit("/")[-1] for path in findings.loc[findings["kind"].eq(kind), "path"])


def test_constant_images_are_findings_with_examples_on_the_page(tmp_path):
    scratch = np.full((200, 200), 128, np.uint8)
    scratch[100, 100:110] = 0  # a defect that fills less than a thousandth
    extra = {
        "flat.png": Image.new("RGB", (40, 40), (90, 90, 90)),
        "almost_flat.png": Image.fromarray(RNG.integers(90, 92, (40, 40), dtype=np.uint8)),
        "black.png": dark(),
        "hot_pixel.png": dark(),
        "white.png": Image.fromarray(RNG.integers(244, 256, (40, 40), dtype=np.uint8)),
        "scratch.png": Image.fromarray(scratch),
        "plain.jpg": picture(),
    }
    extra["hot_pixel.png"].putpixel((3, 3), 255)
    report, findings, page = ran(folders(tmp_path / "in", extra), tmp_path / "out")
    assert of_kind(findings, "uniform") == ["almost_flat.png", "flat.png"]
    assert of_kind(findings, "nearly black") == ["black.png", "hot_pixel.png"]
    assert of_kind(findings, "nearly white") == ["white.png"]
    assert report["findings"]["uniform"] == 2
    for words in ("images of one colour: 2", "nearly black: 2", "nearly white: 1"):
        assert any(words in warning for warning in report["warnings"])
        assert words in page
    assert page.count("data:image/webp") == 5


def test_transparent_images_are_counted(tmp_path):
    report, findings, page = ran(folders(tmp_path / "in", {"icon.png": icon()}), tmp_path / "out")
    assert of_kind(findings, "transparent") == ["icon.png"]
    assert of_kind(findings, "uniform") == []
    assert "transparent images, laid on white (data.background): 1; see split/report.html" in report["warnings"]
    assert "<h2>Transparent</h2>" in page
    report, findings, _ = ran(tmp_path / "in", tmp_path / "out2", background="none")
    assert of_kind(findings, "uniform") == ["icon.png"], "the hidden colour is black too"
    assert (
        "transparent images, their hidden colours count (data.background): 1; see split/report.html"
        in report["warnings"]
    )


def test_broken_metadata_is_counted(tmp_path):
    root = folders(tmp_path / "in", {})
    paths = zoo("with_broken_metadata", root / "a" / "phone")
    report, findings, page = ran(root, tmp_path / "out")
    assert len(of_kind(findings, "metadata ignored")) == len(paths)
    assert any(f"taken as upright: {len(paths)}" in warning for warning in report["warnings"])
    assert "<h2>Metadata ignored</h2>" in page
    assert report["unreadable"] == []


def deep_folders(root, top, dtype, suffix="tif", low=0.0):
    for name in ("a", "b"):
        (root / name).mkdir(parents=True)
        for number in range(5):
            values = low + (top - low) * RNG.random((40, 40))
            values[0, 0] = top
            Image.fromarray(values.astype(dtype)).save(root / name / f"{number}.{suffix}")
    return root


WRONG = [
    (4095, np.uint16, "png", 0, "[0, 4095]"),
    (1000, np.uint16, "tif", 0, "[0, 1023]"),
    (200, np.uint16, "png", 0, "[0, 255]"),
    (2**31 - 1, np.int32, "tif", 0, "[0, 2147483647]"),
    (255, np.float32, "tif", 0, "[0, 255]"),
    (65535, np.float32, "tif", 0, "[0, 65535]"),
    (1, np.float32, "tif", -1, "[-1, 1]"),
    (30000, np.int32, "tif", -30000, "[-32768, 32767]"),
]


@pytest.mark.parametrize(("top", "dtype", "suffix", "low", "proposed"), WRONG)
def test_deep_images_that_do_not_fit_stop_with_the_range_that_does(tmp_path, top, dtype, suffix, low, proposed):
    root = deep_folders(tmp_path / "in", top, dtype, suffix, low)
    with pytest.raises(DataError, match=r"data.value_range: auto takes 0 as black") as error:
        ran(root, tmp_path / "out")
    assert f"set data.value_range: {proposed}, or " in error.value.hint
    assert error.value.exit_code == 3
    report, findings, _ = ran(root, tmp_path / "out", value_range=proposed)
    assert not {"values out of range", "nearly black", "nearly white", "uniform"} & set(report["findings"])
    assert "nearly black" not in set(findings["kind"])


@pytest.mark.parametrize(("top", "dtype"), [(65535, np.uint16), (30000, np.uint16), (1, np.float32), (0.4, np.float32)])
def test_deep_images_that_fit_pass(tmp_path, top, dtype):
    report, _, _ = ran(deep_folders(tmp_path / "in", top, dtype), tmp_path / "out")
    assert report["findings"] == {}


def test_values_out_of_a_stated_range_and_no_numbers_are_counted(tmp_path):
    values = np.asarray(ramp(1, np.float32)).copy()
    values[0, 0] = np.nan
    extra = {"nan.tif": Image.fromarray(values), "bright.tif": ramp(7, np.float32)}
    report, findings, _ = ran(folders(tmp_path / "in", extra), tmp_path / "out", value_range=[0, 1])
    assert of_kind(findings, "values out of range") == ["bright.tif"]
    assert findings.loc[findings["kind"].eq("values out of range"), "detail"].item() == "values 0 to 7, clipped"
    assert of_kind(findings, "not a number") == ["nan.tif"]
    assert len([words for words in report["warnings"] if words.endswith("1; see split/report.html")]) == 2


def test_new_writes_the_range_that_fits(tmp_path):
    _, path, _ = new_spec(str(deep_folders(tmp_path / "in", 4095, np.uint16, "png")), tmp_path, "deep", {})
    assert load_spec(path).data.value_range == (0, 4095)
    _, path, _ = new_spec(str(deep_folders(tmp_path / "in2", 65535, np.uint16, "png")), tmp_path, "full", {})
    assert "value_range" not in path.read_text()


@pytest.mark.parametrize("value", ["[1, 0]", "[0]", "[0, 1, 2]", "bright", "[0, .nan]", "[3, 3]"])
def test_a_range_that_is_none_is_refused(value):
    with pytest.raises(Exception, match="value_range"):
        parse_spec(f"data: {{value_range: {value}}}")


def test_a_range_as_text():
    assert parse_spec("data: {value_range: '0, 4095'}").data.value_range == (0, 4095)
    assert parse_spec("data: {value_range: AUTO}").data.value_range == "auto"
