"""The packed cache: the same pixels with it and without, and what is said when it cannot be used."""

import numpy as np
import pytest
from PIL import Image
from secateur.data.filesystem import files_below
from secateur.data.image_cache import FOOTER, INDEX, cache_path, open_image_cache, size_of_cache, write_image_cache
from secateur.data.pipeline import ImageBatches, ImageFiles, ImageReader, TrainingBatches
from secateur.errors import ArtifactError
from secateur.spec import AugmentSpec, DataSpec, ModelSpec

COLOUR = ModelSpec(input_image_size="3,16,20")
GRAY = ModelSpec(input_image_size="1,16,20", resize_interpolation_method="bicubic")
DEEP = ModelSpec(input_image_size="1,16,20", input_image_depth=16)


@pytest.fixture
def paths(class_folders):
    """Images of many sizes, lying ones too."""
    rng = np.random.default_rng(0)
    exif = Image.Exif()
    exif[0x0112] = 6
    for number, size in enumerate([(20, 16, 3), (300, 200, 3), (2, 90, 3), (1, 1, 3)]):
        pixels = rng.integers(0, 256, size, dtype=np.uint8)
        Image.fromarray(pixels).save(class_folders / f"dark/{number}.jpg", exif=exif)
    Image.fromarray(rng.integers(0, 65536, (80, 70), dtype=np.uint16)).save(class_folders / "dark/deep.png")
    return sorted(files_below(str(class_folders)))


def cached(folder, reader, paths, training):
    digests = [str(number) for number in range(len(paths))]
    path = cache_path(folder, reader, digests, training, "code")
    write_image_cache(path, ImageFiles(reader, paths, training), 0)
    return path


@pytest.mark.parametrize("model", [COLOUR, GRAY, DEEP])
@pytest.mark.parametrize("crop", [True, False])
def test_the_same_batches_with_and_without_and_with_one_worker_and_four(tmp_path, paths, model, crop):
    options = AugmentSpec(enable_random_crop=crop, enable_center_crop=crop)
    labels = [int("light" in path) for path in paths]
    one, four = (ImageReader(DataSpec(), options, model, workers) for workers in (1, 4))
    for training in (True, False):
        images = open_image_cache(cached(tmp_path / "cache", four, paths, training), one, len(paths))
        files = ImageFiles(four, paths, training)
        if training:
            with_it, without = (
                TrainingBatches(reader, images, labels, 2, 7, 3, 1) for reader, images in ((one, images), (four, files))
            )
        else:
            with_it, without = (ImageBatches(r, images, labels, 2, 7) for r, images in ((one, images), (four, files)))
        for index in range(len(with_it)):
            for part, other in zip(with_it[index], without[index], strict=True):
                np.testing.assert_array_equal(part, other)


def test_its_size_is_known_before(tmp_path, paths):
    for training in (True, False):
        reader = ImageReader(DataSpec(), AugmentSpec(), COLOUR, 2)
        sizes = [Image.open(path).size for path in paths]
        upright = [
            (h, w) if Image.open(path).getexif().get(0x0112) else (w, h)
            for path, (w, h) in zip(paths, sizes, strict=True)
        ]
        expected = size_of_cache(reader, np.array(upright), training)
        assert 0 <= cached(tmp_path / "cache", reader, paths, training).stat().st_size - expected < 8


def test_a_file_belongs_to_its_images_and_geometry(tmp_path):
    reader = ImageReader(DataSpec(), AugmentSpec(), COLOUR, 1)
    other = ImageReader(DataSpec(), AugmentSpec(enable_random_crop=False), COLOUR, 1)
    bigger = ImageReader(DataSpec(), AugmentSpec(), ModelSpec(input_image_size="3,32,32"), 1)
    names = {
        cache_path(tmp_path, *arguments, "code")
        for arguments in (
            (reader, ["a", "b"], True),
            (reader, ["b", "a"], True),
            (reader, ["a", "b"], False),
            (other, ["a", "b"], True),
            (bigger, ["a", "b"], True),
        )
    }
    assert len(names) == 5
    assert open_image_cache(tmp_path / "none.images", reader, 2) is None


def test_a_damaged_file_is_named(tmp_path, paths):
    reader = ImageReader(DataSpec(), AugmentSpec(), COLOUR, 2)
    path = cached(tmp_path, reader, paths, True)
    content = path.read_bytes()
    for damaged in (b"", content[:-1], content[:100], content[:-30] + bytes(30)):
        path.write_bytes(damaged)
        with pytest.raises(ArtifactError, match="not a file of the image cache"):
            open_image_cache(path, reader, len(paths))
    path.write_bytes(content)
    with pytest.raises(ArtifactError, match="not a file of the image cache with 3 images"):
        open_image_cache(path, reader, 3)


def damaged(content, how):
    """Bytes of a file of the cache, damaged as a torn write, a bad disk or a stranger would."""
    start = int.from_bytes(content[-FOOTER.size : -FOOTER.size + 8], "little")
    found = bytearray(content)
    if how == "an offset beyond the file":
        found[start : start + 8] = (1 << 40).to_bytes(8, "little")
    elif how == "an offset of another image":
        found[start : start + 8] = (16).to_bytes(8, "little")
    elif how == "a height":
        found[start + 8 : start + 12] = (100_000).to_bytes(4, "little")
    elif how == "a height that overflows":
        found[start + 8 : start + 16] = b"\xff" * 8
    elif how == "the start of the index":
        found[-FOOTER.size : -FOOTER.size + 8] = (start - INDEX.itemsize).to_bytes(8, "little")
    elif how == "a cut":
        del found[-100:]
    elif how == "nothing left":
        found.clear()
    elif how == "zeros":
        found[:] = bytes(len(found))
    elif how == "pixels":
        found[500:1500] = bytes(1000)
    elif how == "one bit":
        found[700] ^= 1
    return bytes(found)


OF_THE_INDEX = (
    "an offset beyond the file", "an offset of another image", "a height", "a height that overflows",
    "the start of the index", "a cut", "nothing left", "zeros",
)  # fmt: skip


@pytest.mark.parametrize("how", [*OF_THE_INDEX, "pixels", "one bit"])
def test_damage_is_noticed_when_the_file_is_opened_or_its_image_is_read(tmp_path, paths, how):
    reader = ImageReader(DataSpec(), AugmentSpec(), COLOUR, 2)
    path = cached(tmp_path / "cache", reader, paths, False)
    content = path.read_bytes()
    path.write_bytes(damaged(content, how))
    with pytest.raises(ArtifactError) as error:
        images = open_image_cache(path, reader, len(paths))
        assert how not in OF_THE_INDEX
        for position in range(len(images)):
            images[position]
    assert str(path) in error.value.message
    assert error.value.hint == "delete it; the next run writes it again"
