"""What split lets pass, every later step can read: on images as users have them."""

import json

import numpy as np
import pytest
from PIL import Image
from secateur.cli.explain import reader_of
from secateur.data.examination import examine
from secateur.data.images import read_image, read_shown
from secateur.data.pipeline import ImageReader
from secateur.export.input_scaling import preprocessing_of
from secateur.models.file_card import Card
from secateur.spec import AugmentSpec, DataSpec, ModelSpec, parse_spec
from secateur.spec.effects import values_that_affect
from secateur.step_table import ALL_STEPS

from tests.odd_images import ZOO, picture, zoo

INPUTS = [("3,32,48", 8), ("1,32,48", 8), ("1,32,48", 16)]


def reader(size="3,32,48", depth=8, crop=False, **data):
    model = ModelSpec(input_image_size=size, input_image_depth=depth)
    augment = AugmentSpec(enable_center_crop=crop, enable_random_crop=crop, enable_color_augmentation=False)
    return ImageReader(DataSpec(**data), augment, model, 1)


@pytest.mark.parametrize("kind", ZOO)
def test_every_step_reads_what_split_lets_pass(tmp_path, kind):
    paths = zoo(kind, tmp_path / kind)
    readers = [reader(size, depth, crop) for size, depth in INPUTS for crop in (True, False)]
    for path in paths:
        found = examine(str(path), DataSpec())
        assert found.unreadable == "", path.name
        for one in readers:
            pixels = one.read(str(path))
            assert pixels.shape[:2] == (32, 48)
            assert np.isfinite(pixels).all()
            stored = one.stored(str(path), training=True)
            assert stored.size == one.stored(str(path), training=False).size
            assert sorted(stored.size) == sorted((found.width, found.height))
            assert np.isfinite(one.augmented(stored, np.random.default_rng(0))).all()
        assert read_shown(str(path), DataSpec(), lambda size: (9, 9)).size == (9, 9)
    assert len(paths) >= 6


def test_broken_metadata_is_counted_and_the_pixels_are_those_of_the_file(tmp_path):
    for path in zoo("with_broken_metadata", tmp_path / "zoo"):
        assert examine(str(path), DataSpec()).metadata.startswith(("EXIF: ", "a chunk of the PNG")), path.name
        difference = np.abs(np.asarray(read_image(path, ModelSpec()), int) - np.asarray(picture(), int))
        assert difference.mean() < (3 if path.suffix == ".jpg" else 1e-9), path.name
    for kind in ("with_latin_xmp", "turned", "modes"):
        assert not any(examine(str(path), DataSpec()).metadata for path in zoo(kind, tmp_path / kind))


def test_metadata_does_not_turn_off_a_turn(tmp_path):
    for path in zoo("with_latin_xmp", tmp_path / "zoo"):
        assert read_image(path, ModelSpec()).size == ((90, 70) if path.stem == "profile" else (70, 90)), path.name


@pytest.mark.parametrize("kind", ["deep", "transparent"])
def test_no_image_of_many_values_becomes_constant(tmp_path, kind):
    for path in zoo(kind, tmp_path / "zoo"):
        pixels = np.asarray(read_image(path, ModelSpec()))
        assert np.ptp(pixels) > 200 or path.stem in ("one_of_palette", "colour", "shade", "opaque"), path.name
        assert len(np.unique(pixels)) > (1 if kind == "transparent" else 200), path.name


@pytest.mark.parametrize(("background", "hidden"), [("white", 255), ("black", 0), ("none", 0)])
def test_transparent_images_are_laid_on_a_background(tmp_path, background, hidden):
    for path in zoo("transparent", tmp_path / "zoo"):
        if path.stem in ("rgba", "la", "palette"):
            data = DataSpec(background=background)
            image = read_image(path, ModelSpec(), data)
            # AVIF is not lossless.
            assert image.getpixel((0, 0))[0] == pytest.approx(hidden, abs=2), path.name
            assert image.getpixel((32, 30))[0] == pytest.approx(0, abs=2), path.name
            assert examine(str(path), data).transparent
            half = image.getpixel((2, 21))[0]
            assert path.stem == "palette" or half == pytest.approx(hidden * (1 - 120 / 255), abs=2), path.name
        assert examine(str(path), DataSpec()).transparent == (path.stem != "opaque")


def test_a_checkerboard_has_squares_of_eight_pixels(tmp_path):
    Image.new("RGBA", (24, 16)).save(tmp_path / "a.png")
    pixels = np.asarray(
        read_image(tmp_path / "a.png", ModelSpec(input_image_size="1,32,32"), DataSpec(background="checker"))
    )
    assert pixels[::8, ::8].tolist() == [[255, 204, 255], [204, 255, 204]]
    assert pixels.shape == (16, 24)
    assert np.unique(pixels[:8, :8]).tolist() == [255]


RANGES = [
    (np.uint16, 4095, [0, 4095]),
    (np.uint16, 65535, "auto"),
    (np.int32, 65535, "auto"),
    (np.int32, 2**31 - 1, [0, 2147483647]),
    (np.float32, 1, "auto"),
    (np.float32, 255, [0, 255]),
    (np.float32, 65535, [0, 65535]),
]


@pytest.mark.parametrize(("dtype", "top", "value_range"), RANGES)
def test_deep_values_are_scaled_by_their_range(tmp_path, dtype, top, value_range):
    share = np.linspace(0, 1, 256).reshape(16, 16)
    Image.fromarray((share * top).astype(dtype)).save(tmp_path / "a.tif")
    data = DataSpec(value_range=value_range)
    gray = np.asarray(read_image(tmp_path / "a.tif", ModelSpec(input_image_size="1,32,32"), data), int)
    assert np.abs(gray - np.round(share * 255)).max() <= 1
    deep = ModelSpec(input_image_size="1,32,32", input_image_depth=16)
    assert np.abs(np.asarray(read_image(tmp_path / "a.tif", deep, data)) - share * 65535).max() <= 65535 / top + 1


def test_eight_bit_images_know_no_range(tmp_path):
    picture().save(tmp_path / "a.png")
    pixels = np.asarray(read_image(tmp_path / "a.png", ModelSpec(), DataSpec(value_range=[0, 4095])))
    np.testing.assert_array_equal(pixels, np.asarray(picture()))


@pytest.mark.parametrize("key", [{"background": "black"}, {"value_range": [0, 4095]}, {"max_pixels": 1000}])
def test_the_keys_make_every_step_that_reads_images_out_of_date(key):
    (name,) = key
    assert reader(**key).geometry(True) != reader().geometry(True), "the name of a file of the cache"
    for step in ("split", "cache", "train", "evaluate", "inference", "calibrate", "export", "bundle"):
        assert f"data.{name}" in values_that_affect(parse_spec("data: {source: x}"), ALL_STEPS[step].effects), step
    given = preprocessing_of(parse_spec(json.dumps({"data": {"source": "x", **key}})))
    assert given[name] == key[name], "in the card of a model"
    assert Card(preprocessing=given)


def test_a_model_of_an_earlier_version_knows_the_hidden_colours():
    links = [{"step": "split", "data": {"preprocess_mode": "tf"}}, {"step": "train", "augment": {}, "model": {}}]
    assert reader_of({"provenance": links}, "model.tlt").data_spec.background == "none"
    links[0]["data"] = DataSpec(background="checker", value_range=[0, 4095]).model_dump(mode="json")
    assert reader_of({"provenance": links}, "model.tlt").data_spec == DataSpec(**links[0]["data"])
