"""Which files are opened: formats, the limit of pixels, and very large JPEGs at a smaller scale."""

import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from secateur.cli.main import main
from secateur.data.examination import examine
from secateur.data.image_opening import UnreadableImageError, least_scale
from secateur.data.images import is_image, read_image, read_resized
from secateur.data.pipeline import ImageReader
from secateur.data.sources import listed
from secateur.spec import AugmentSpec, DataSpec, ModelSpec

from tests.memory import Growth
from tests.odd_images import picture, turn_of

SMALL = DataSpec(max_pixels=10_000)


def reason(path, data=SMALL, model=None):
    with pytest.raises(UnreadableImageError) as error:
        read_image(path, model or ModelSpec(), data)
    return f"{error.value.message}; {error.value.hint}"


def test_the_limit_of_pixels_is_a_key(tmp_path):
    picture(101, 100).save(tmp_path / "a.png")
    assert reason(tmp_path / "a.png") == "101 x 100 pixels, more than 10,000; raise data.max_pixels"
    assert examine(str(tmp_path / "a.png"), SMALL).unreadable == "101 x 100 pixels, more than 10,000"
    assert read_image(tmp_path / "a.png", ModelSpec(), DataSpec(max_pixels=10_100)).size == (101, 100)


def test_the_scale_of_a_large_jpeg():
    assert [least_scale((side, side), 10_000) for side in (100, 101, 200, 201, 400, 401, 800, 801)] == [
        1, 2, 2, 4, 4, 8, 8, 0,
    ]  # fmt: skip


@pytest.mark.parametrize("orientation", [1, 6])
@pytest.mark.parametrize("side", [16, 128])
def test_a_jpeg_above_the_limit_is_read_at_a_smaller_scale_by_every_step(tmp_path, orientation, side):
    """Also by a network whose input has more pixels than the limit allows to decode."""
    picture(300, 200).save(tmp_path / "a.jpg", exif=turn_of(orientation), quality=95)
    found = examine(str(tmp_path / "a.jpg"), SMALL)
    assert (found.unreadable, found.width, found.height) == ("", 300, 200)
    model = ModelSpec(input_image_size=f"3,{side},{side}")
    one = ImageReader(SMALL, AugmentSpec(enable_center_crop=False), model, 1).stored(
        str(tmp_path / "a.jpg"), training=False
    )
    assert one.size == ((300, 200) if orientation == 1 else (200, 300))
    whole, _ = read_resized(tmp_path / "a.jpg", model, DataSpec(), lambda size: (side, side))
    assert np.abs(one.array.astype(int) - np.asarray(whole, int)).mean() < 3


def save_as(path, **options):
    picture(300, 200).save(path, **options)
    return path


def test_what_a_smaller_scale_does_not_make_smaller_is_refused(tmp_path):
    for path in (
        save_as(tmp_path / "progressive.jpg", progressive=True),
        save_as(tmp_path / "a.webp"),
        save_as(tmp_path / "a.avif"),
        save_as(tmp_path / "a.jp2"),
    ):
        assert "300 x 200 pixels, more than 10,000" in reason(path)
    picture(900, 800).save(tmp_path / "huge.jpg")
    assert "900 x 800 pixels, more than 10,000" in reason(tmp_path / "huge.jpg")


def scans_of_their_own(content):
    """A baseline JPEG whose first scan has one channel: the decoder keeps all pixels of such a file."""
    start = content.index(b"\xff\xda")
    return content[: start + 4] + b"\x01" + content[start + 5 :]


def test_a_baseline_jpeg_of_several_scans_is_refused_too(tmp_path):
    path = save_as(tmp_path / "a.jpg")
    assert read_image(path, ModelSpec(), SMALL).size == (300, 200)
    path.write_bytes(scans_of_their_own(path.read_bytes()))
    assert "300 x 200 pixels" in reason(path)


def test_a_thumbnail_in_the_metadata_is_no_scan(tmp_path):
    path = save_as(tmp_path / "a.jpg")
    content = path.read_bytes()
    thumbnail = b"Exif\0\0" + scans_of_their_own(content[:2000])
    path.write_bytes(content[:2] + b"\xff\xe1" + (len(thumbnail) + 2).to_bytes(2, "big") + thumbnail + content[2:])
    assert read_image(path, ModelSpec(), SMALL).size == (300, 200)


def test_a_photograph_of_108_megapixels_is_read_in_little_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)  # of the process: another library may have set it
    picture(12000, 9000).convert("L").save(tmp_path / "a.jpg")
    with Growth() as memory:
        pixels = ImageReader(DataSpec(), AugmentSpec(), ModelSpec(), 1).read(str(tmp_path / "a.jpg"))
        found = examine(str(tmp_path / "a.jpg"), DataSpec())
    assert pixels.shape == (224, 224, 3)
    assert (found.unreadable, found.width, found.height) == ("", 12000, 9000)
    assert memory.kb < 300_000


FORMATS = [
    "a.jpg", "a.jpe", "a.jfif", "a.mpo", "a.png", "a.apng", "a.bmp", "a.gif", "a.tif", "a.webp", "a.avif", "a.jp2",
    "a.j2k", "a.ppm", "a.tga", "a.JFIF", "a.PPM",
]  # fmt: skip
WRITER = {".jfif": "JPEG", ".jpe": "JPEG", ".mpo": "MPO", ".tga": "TGA"}


@pytest.mark.parametrize("name", FORMATS)
def test_formats(tmp_path, name):
    for label in ("one", "two"):
        (tmp_path / "in" / label).mkdir(parents=True)
        picture(40, 30).save(tmp_path / "in" / label / name, WRITER.get(Path(name).suffix.lower()))
    table = listed(str(tmp_path / "in"), "data.source", "first", tmp_path)["source"].table
    assert sorted(table["class"]) == ["one", "two"]
    path = table["path"][0]
    assert is_image(path)
    assert examine(path, DataSpec()).unreadable == ""
    pixels = np.asarray(read_image(path, ModelSpec()), int)
    assert np.abs(pixels - np.asarray(picture(40, 30), int)).mean() < 30


def test_bytes_without_a_signature_are_a_tga_only_by_their_name(tmp_path):
    picture(40, 30).save(tmp_path / "a.tga")
    (tmp_path / "a.jpg").write_bytes((tmp_path / "a.tga").read_bytes())
    assert "not an image that can be read" in reason(tmp_path / "a.jpg")


def heic(path, **options):
    pytest.importorskip("pillow_heif").from_pillow(picture(64, 48)).save(path, **options)
    return path


def test_heic_with_the_extra(tmp_path):
    for name in ("a.heic", "a.HEIF", "renamed.jpg"):
        path = heic(tmp_path / f"{name}.heic", quality=95).rename(tmp_path / name)
        assert is_image(str(path))
        assert examine(str(path), DataSpec()).unreadable == ""
        pixels = np.asarray(read_image(path, ModelSpec()), int)
        assert np.abs(pixels - np.asarray(picture(64, 48), int)).mean() < 8
    broken = heic(tmp_path / "broken.heic", exif=b"no TIFF")
    assert read_image(broken, ModelSpec()).size == (64, 48)
    assert examine(str(broken), DataSpec()).metadata
    cut = tmp_path / "cut.heic"
    cut.write_bytes(broken.read_bytes()[:-200])
    assert examine(str(cut), DataSpec()).unreadable


# The first box of a file of an iPhone.
IPHONE = b"\0\0\0\x24ftypheic\0\0\0\0mif1MiHBMiHEMiPrheic" + bytes(100)


def test_heic_without_the_extra_names_it(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        for number in range(4):
            (tmp_path / name / f"{number}.heic").write_bytes(IPHONE + bytes([number]))
    path = tmp_path / "one/0.heic"
    assert "pip install pillow-heif" in reason(path)
    assert "pip install pillow-heif" in examine(str(path), DataSpec()).unreadable
    monkeypatch.chdir(tmp_path)
    assert main(["new", str(tmp_path), "--name", "x"]) == 3
    said = capsys.readouterr().err
    assert "pip install pillow-heif" in said
