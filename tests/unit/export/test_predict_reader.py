"""predict.py of a bundle makes the same network input as secateur, on images as users have them."""

import importlib.util
import json
import sys

import numpy as np
import pytest
from PIL import Image
from secateur.data.pipeline import ImageReader
from secateur.export.bundle.script import predict_script
from secateur.export.input_scaling import preprocessing_of
from secateur.spec import parse_spec

from tests.odd_images import ZOO, icon, picture, turn_of, zoo

NETWORKS = {
    "colour, cropped": ("input_image_size: [3, 32, 48]", "enable_center_crop: True", ""),
    "gray": ("input_image_size: [1, 32, 48]", "enable_center_crop: False", ", background: checker"),
    "bicubic": (
        "input_image_size: [3, 48, 32], resize_interpolation_method: bicubic",
        "enable_center_crop: False",
        ", background: none, value_range: [10, 50000]",
    ),
    "deep": ("input_image_size: [1, 32, 48], input_image_depth: 16", "enable_center_crop: True", ", background: black"),
}


def of(model, augment, data):
    return parse_spec(f"data: {{source: x, preprocess_mode: tf{data}}}\nmodel: {{{model}}}\naugment: {{{augment}}}\n")


def predict_of(spec, folder):
    folder.mkdir(exist_ok=True)
    (folder / "predict.py").write_bytes(predict_script())
    (folder / "preprocessing.json").write_text(json.dumps({**preprocessing_of(spec), "model": "x.onnx"}))
    (folder / "labels.txt").write_text("a\nb\n")
    return predict_again(folder)


def predict_again(folder):
    found = importlib.util.spec_from_file_location("predict", folder / "predict.py")
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("zoo")
    return [path for kind in ZOO for path in zoo(kind, folder / kind)]


@pytest.mark.parametrize("network", NETWORKS)
def test_the_same_input(files, tmp_path, monkeypatch, network):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", Image.MAX_IMAGE_PIXELS)
    spec = of(*NETWORKS[network])
    predict = predict_of(spec, tmp_path / "bundle")
    reader = ImageReader(spec.data, spec.augment, spec.model, 1)
    for path in files:
        ours = reader.read(str(path)).transpose(2, 0, 1)
        np.testing.assert_allclose(predict.pixels(str(path))[0], ours, atol=1e-5, err_msg=str(path))
    assert len(files) > 80


def test_the_same_limit_and_the_same_scale(tmp_path, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", Image.MAX_IMAGE_PIXELS)
    spec = of("input_image_size: [3, 32, 48]", "enable_center_crop: False", ", max_pixels: 10000")
    predict = predict_of(spec, tmp_path / "bundle")
    reader = ImageReader(spec.data, spec.augment, spec.model, 1)
    for turn in (1, 8):
        picture(300, 220).save(tmp_path / "a.jpg", exif=turn_of(turn))
        ours = reader.read(str(tmp_path / "a.jpg")).transpose(2, 0, 1)
        np.testing.assert_allclose(predict.pixels(str(tmp_path / "a.jpg"))[0], ours, atol=1e-5)
    for name in ("a.png", "huge.jpg"):
        picture(900, 800).save(tmp_path / name)
        with pytest.raises(ValueError, match="900 x 800 pixels, more than 10,000"):
            predict.pixels(str(tmp_path / name))


def test_a_bundle_of_an_earlier_version_knows_no_background(tmp_path):
    spec = of("input_image_size: [3, 32, 48]", "enable_center_crop: False", "")
    predict = predict_of(spec, tmp_path / "bundle")
    card = json.loads((tmp_path / "bundle/preprocessing.json").read_text())
    older = {key: value for key, value in card.items() if key not in ("background", "value_range", "max_pixels")}
    (tmp_path / "bundle/preprocessing.json").write_text(json.dumps(older))
    icon().save(tmp_path / "a.png")
    assert predict.pixels(str(tmp_path / "a.png")).max() == 1
    assert predict_again(tmp_path / "bundle").pixels(str(tmp_path / "a.png")).max() == -1


def test_heic_without_the_extra_names_it(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    (tmp_path / "a.jpg").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(100))
    predict = predict_of(of("input_image_size: [3, 32, 48]", "enable_center_crop: True", ""), tmp_path / "bundle")
    with pytest.raises(OSError, match="pip install pillow-heif"):
        predict.pixels(str(tmp_path / "a.jpg"))


def test_heic(tmp_path):
    pytest.importorskip("pillow_heif").from_pillow(picture(300, 220)).save(tmp_path / "a.heic")
    spec = of("input_image_size: [3, 32, 48]", "enable_center_crop: True", "")
    ours = ImageReader(spec.data, spec.augment, spec.model, 1).read(str(tmp_path / "a.heic"))
    theirs = predict_of(spec, tmp_path / "bundle").pixels(str(tmp_path / "a.heic"))[0]
    np.testing.assert_allclose(theirs, ours.transpose(2, 0, 1), atol=1e-5)
