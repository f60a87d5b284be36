"""Augmentation: geometry, colour and mixup, all from the given generator."""

import colorsys

import numpy as np
import pytest
from PIL import Image
from secateur.data.augment import augment, color_shift, mixup, random_crop, training_size
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


@pytest.mark.parametrize("seed", range(6))
def test_color_shift_agrees_with_the_standard_library(seed):
    pixels = rng().random((5, 7, 3)).astype(np.float32)
    pixels[0], pixels[1], pixels[2, :, 1:] = 0, 1, pixels[2, :, :1]
    draws = rng(seed)
    turn, more, contrast = draws.uniform(-25, 25), draws.uniform(-0.2, 0.2), 1 + draws.uniform(-0.1, 0.1)
    shifted = color_shift(pixels, rng(seed))
    for row, column in np.ndindex(5, 7):
        hue, saturation, value = colorsys.rgb_to_hsv(*map(float, pixels[row, column]))
        wanted = colorsys.hsv_to_rgb((hue + turn / 360) % 1, np.clip(saturation + more, 0, 1), value)
        np.testing.assert_allclose(
            shifted[row, column], np.clip((np.array(wanted) - 0.5) * contrast + 0.5, 0, 1), atol=1e-5
        )


@pytest.mark.parametrize(("width", "height"), [(700, 500), (500, 700), (200, 2000)])
def test_a_crop_out_of_what_is_stored_is_the_crop_out_of_the_image(width, height):
    """Smooth pixels, so that resampling in one step or in two differs by rounding alone."""
    across, down = np.meshgrid(np.linspace(0, 9, width), np.linspace(0, 7, height))
    pixels = np.stack([np.sin(across), np.cos(down), np.sin(across + down)], axis=-1)
    image = Image.fromarray(np.round(127 + 120 * pixels).astype(np.uint8))
    options = OFF.model_copy(update={"enable_random_crop": True})
    stored = training_size(image.size, MODEL, options)
    assert stored[0] * stored[1] < width * height
    small = image.resize(stored, Image.Resampling.BILINEAR)
    for seed in range(10):
        once, twice = (np.asarray(augment(part, MODEL, options, rng(seed), image.size)) for part in (image, small))
        assert np.abs(once - twice).max() <= 4
        assert np.abs(once - twice).mean() <= 0.7


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
