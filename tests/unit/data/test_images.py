"""Pixels: the table of docs/decisions/torch-preprocessing.md, and the geometry of crops-and-colours.md."""

import numpy as np
import pytest
from PIL import Image
from secateur.data.images import UnreadableImageError, read_image
from secateur.data.preprocessing import center_crop, preprocess, read_fitted, to_array
from secateur.errors import DataError
from secateur.spec import DataSpec, ModelSpec

RGB, GRAY = ModelSpec(input_image_size="3,32,40"), ModelSpec(input_image_size="1,32,40")
GRAY16 = ModelSpec(input_image_size="1,32,40", input_image_depth=16)
PIXEL = np.array([[[10.0, 100.0, 250.0]]])


def test_caffe():
    expected = [250 - 103.939, 100 - 116.779, 10 - 123.68]
    np.testing.assert_allclose(preprocess(PIXEL, "caffe")[0, 0], expected, rtol=1e-6)
    np.testing.assert_allclose(preprocess(PIXEL, "caffe", [1, 2, 3])[0, 0], [249, 98, 7], rtol=1e-6)


def test_torch():
    expected = [(10 / 255 - 0.485) / 0.224, (100 / 255 - 0.456) / 0.224, (250 / 255 - 0.406) / 0.224]
    np.testing.assert_allclose(preprocess(PIXEL, "torch")[0, 0], expected, rtol=1e-5)


def test_tf():
    np.testing.assert_allclose(preprocess(PIXEL, "tf")[0, 0], PIXEL[0, 0] / 127.5 - 1, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize(
    ("mode", "depth", "value", "expected"),
    [
        ("caffe", 8, 200, 200 - 117.3786),
        ("caffe", 16, 40000, 40000 - 30048.9216),
        ("torch", 8, 200, (200 / 255 - 0.449) / 0.224),
        ("torch", 16, 40000, (40000 / 65535 - 0.449) / 0.224),
        ("tf", 8, 200, 200 / 127.5 - 1),
        ("tf", 16, 40000, 40000 / 32767.5 - 1),
    ],
)
def test_gray(mode, depth, value, expected):
    result = preprocess(np.full((2, 2, 1), value), mode, depth=depth)
    assert result.dtype == np.float32
    assert result.shape == (2, 2, 1)
    np.testing.assert_allclose(result, expected, rtol=1e-4)


def test_preprocess_leaves_its_input_alone():
    pixels = PIXEL.astype(np.float32)
    preprocess(pixels, "caffe")
    np.testing.assert_array_equal(pixels, PIXEL)


def test_bad_mean_and_mode_are_refused():
    with pytest.raises(DataError, match="3 values for 1 channel"):
        preprocess(np.zeros((2, 2, 1)), "caffe", [1, 2, 3])
    with pytest.raises(DataError, match="unknown preprocess_mode 'keras'"):
        preprocess(PIXEL, "keras")


def test_center_crop_geometry():
    """A 100x50 image to 40x32: factor max(72/100, 64/50) = 1.28, 128x64, then the middle."""
    gradient = Image.fromarray(np.tile(np.arange(100, dtype=np.uint8), (50, 1)))
    resized = gradient.resize((128, 64), Image.Resampling.BILINEAR)
    left, top = round(64.0) - round(20.0), round(32.0) - round(16.0)
    expected = np.asarray(resized.crop((left, top, left + 40, top + 32)))
    np.testing.assert_array_equal(np.asarray(center_crop(gradient, 40, 32, "bilinear")), expected)


def test_no_crop_is_one_plain_resize(tmp_path):
    Image.new("RGB", (9, 77), (1, 2, 3)).save(tmp_path / "a.png")
    pixels = to_array(read_fitted(tmp_path / "a.png", RGB, DataSpec(), crop=False)[0])
    assert pixels.shape == (32, 40, 3)
    assert (pixels == [1, 2, 3]).all()


def test_an_image_of_the_right_size_is_taken_as_it_is(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (32, 40, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "a.png")
    np.testing.assert_array_equal(np.asarray(read_fitted(tmp_path / "a.png", RGB, DataSpec(), crop=True)[0]), noise)


@pytest.mark.parametrize("mode", ["L", "LA", "P", "RGBA", "CMYK", "1", "RGB", "I;16"])
def test_modes_become_what_the_network_needs(tmp_path, mode):
    if mode == "I;16":
        image = Image.fromarray(np.full((5, 5), 128 * 257, np.uint16))
    else:
        image = Image.new("RGB", (5, 5), (128, 128, 128)).convert(mode, palette=Image.Palette.ADAPTIVE)
    path = tmp_path / f"a.{'tif' if mode == 'CMYK' else 'png'}"
    image.save(path)
    color, gray = read_image(path, RGB), read_image(path, GRAY)
    assert (color.mode, gray.mode) == ("RGB", "L")
    if mode != "1":
        assert np.abs(np.asarray(gray).astype(int) - 128).max() <= 4


def test_sixteen_bits_are_not_cut_off(tmp_path):
    values = np.array([[0, 300], [40000, 65535]], np.uint16)
    Image.fromarray(values).save(tmp_path / "a.png")
    np.testing.assert_array_equal(np.asarray(read_image(tmp_path / "a.png", GRAY16)), values)
    Image.fromarray(np.array([[7]], np.uint8)).save(tmp_path / "b.png")
    assert np.asarray(read_image(tmp_path / "b.png", GRAY16)).item() == 7 * 257


def test_exif_orientation_is_applied(tmp_path):
    image = Image.fromarray(np.arange(6, dtype=np.uint8).reshape(2, 3))
    exif = Image.Exif()
    exif[0x0112] = 6  # rotate by 90 degrees clockwise to see it upright
    image.save(tmp_path / "a.png", exif=exif)
    np.testing.assert_array_equal(np.asarray(read_image(tmp_path / "a.png", GRAY)), [[3, 0], [4, 1], [5, 2]])


@pytest.mark.parametrize("content", [b"", b"not an image", b"\x89PNG\r\n\x1a\n" + bytes(50)])
def test_unreadable_files_give_a_reason(tmp_path, content):
    (tmp_path / "a.png").write_bytes(content)
    with pytest.raises(UnreadableImageError):
        read_image(tmp_path / "a.png", RGB)
