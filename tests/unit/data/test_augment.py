"""Augmentation: geometry, colour and mixup, all from the given generator."""

import colorsys

import numpy as np
import pytest
from PIL import Image
from secateur.data.augment import augment, color_shift, from_hsv, hue_and_saturation, mixup, random_crop
from secateur.spec import AugmentSpec, ModelSpec

MODEL = ModelSpec(input_image_size="3,32,40")
OFF = AugmentSpec(
    enable_random_crop=False, enable_color_augmentation=False, disable_horizontal_flip=True, mixup_alpha=0
)


def rng(seed=0):
    return np.random.default_rng(seed)


def noise(height=50, width=70):
    return Image.fromarray(rng(9).integers(0, 256, (height, width, 3), dtype=np.uint8))


@pytest.mark.parametrize(("width", "height"), [(1, 1), (1, 300), (300, 1), (33, 41), (41, 33), (1000, 700)])
def test_random_crop_always_has_the_target_size(width, height):
    image = Image.new("RGB", (width, height), (5, 6, 7))
    for seed in range(30):
        crop = random_crop(image, 40, 32, "bilinear", rng(seed))
        assert crop.size == (40, 32)
        assert np.asarray(crop).min() >= 4, "no empty border"


def test_random_crop_is_resize_then_crop():
    image, seed = noise(), 3
    draws = rng(seed)
    scale = draws.uniform(0.45, 1.0)
    ratio = max(40 / scale / 70, 32 / scale / 50)
    size = int(70 * ratio), int(50 * ratio)
    left, top = draws.integers(0, size[0] - 40 + 1), draws.integers(0, size[1] - 32 + 1)
    ratio_of = (size[0] / 70, size[1] / 50)
    assert min(ratio_of) > 0
    expected = np.asarray(image.resize(size, Image.Resampling.BILINEAR).crop((left, top, left + 40, top + 32)))
    got = np.asarray(random_crop(image, 40, 32, "bilinear", rng(seed)))
    assert np.abs(expected.astype(int) - got).max() <= 1


def test_hsv_agrees_with_the_standard_library():
    pixels = rng().random((5, 7, 3)).astype(np.float32)
    hue, saturation = hue_and_saturation(pixels)
    for row, column in np.ndindex(5, 7):
        h, s, _ = colorsys.rgb_to_hsv(*map(float, pixels[row, column]))
        assert hue[row, column] / 360 == pytest.approx(h, abs=1e-5)
        assert saturation[row, column] == pytest.approx(s, abs=1e-5)
    np.testing.assert_allclose(from_hsv(hue, saturation, pixels.max(axis=-1)), pixels, atol=1e-5)


def test_color_shift_stays_in_range_and_moves_colours():
    pixels = rng().random((8, 8, 3)).astype(np.float32)
    shifted = color_shift(pixels, rng(1))
    assert shifted.min() >= 0
    assert shifted.max() <= 1
    assert np.abs(shifted - pixels).max() > 0.01
    gray = np.full((4, 4, 3), 0.5, np.float32)
    assert color_shift(gray, rng(1)).shape == gray.shape


def test_each_switch_acts_by_itself():
    image = noise()
    plain = augment(image, MODEL, OFF, rng())
    np.testing.assert_array_equal(plain, np.asarray(image.resize((40, 32), Image.Resampling.BILINEAR)))
    colored = augment(image, MODEL, OFF.model_copy(update={"enable_color_augmentation": True}), rng())
    assert np.abs(colored - plain).max() > 2, "colour acts without random crop"
    flips = [
        augment(image, MODEL, OFF.model_copy(update={"disable_horizontal_flip": False}), rng(s)) for s in range(20)
    ]
    mirrored = sum(np.array_equal(flip, plain[:, ::-1]) for flip in flips)
    assert 0 < mirrored < 20
    assert all(np.array_equal(flip, plain) or np.array_equal(flip, plain[:, ::-1]) for flip in flips)


def test_colour_acts_on_images_of_the_target_size_too():
    image = noise(32, 40)
    options = OFF.model_copy(update={"enable_color_augmentation": True, "enable_random_crop": True})
    assert np.abs(augment(image, MODEL, options, rng()) - np.asarray(image)).max() > 2


def test_mixup():
    images = np.arange(4, dtype=np.float32).reshape(4, 1, 1, 1)
    labels = np.eye(4, dtype=np.float32)
    mixed, soft = mixup(images, labels, 0.4, rng())
    weights = soft[np.arange(4), np.arange(4)]
    assert (weights >= 0.5).all()
    assert (weights < 1).any()
    np.testing.assert_allclose(soft.sum(axis=1), 1, rtol=1e-6)
    np.testing.assert_allclose(
        mixed[:, 0, 0, 0], weights * np.arange(4) + (1 - weights) * np.arange(4)[::-1], rtol=1e-6
    )
    same, _ = mixup(images, labels, 0.0, rng())
    assert same is images
