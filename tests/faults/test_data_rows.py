"""Rows D1 to D12 of docs/reliability.md: images and folders that are wrong, hostile or odd."""

import io
import itertools
import json
import os
import shutil
import struct
import threading
import unicodedata
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from secateur.cli.main import main
from secateur.data.images import UnreadableImageError, read_image
from secateur.data.manifest import read_manifest
from secateur.data.preprocessing import read_fitted, to_array
from secateur.errors import DataError
from secateur.spec import DataSpec, ModelSpec, parse_spec
from secateur.steps.split import split

from tests.memory import Growth

RGB, GRAY = ModelSpec(input_image_size="3,32,32"), ModelSpec(input_image_size="1,32,32")
GRAY16 = ModelSpec(input_image_size="1,32,32", input_image_depth=16)
NOISE = np.random.default_rng(0).integers(0, 256, (40, 40, 3), dtype=np.uint8)


def jpeg(pixels=NOISE):
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "jpeg")
    return out.getvalue()


def spec_of(root, more=""):
    return parse_spec(f"data: {{source: '{root}'{more}}}")


def run(root, out, more=""):
    report = split(spec_of(root, more), out)
    return read_manifest(out / "manifest.csv"), report


def d1_files(folder):
    good = jpeg()
    bad = {f"cut{number}.jpg": good[: len(good) * number // 11] for number in range(1, 11)}
    bad |= {"empty.jpg": b"", "text.jpg": b"just words", "zeros.png": bytes(5000), "half.gif": b"GIF89a\x01"}
    for name, content in bad.items():
        (folder / name).write_bytes(content)
    png = io.BytesIO()
    Image.fromarray(NOISE).save(png, "png")
    (folder / "png.jpg").write_bytes(png.getvalue())
    (folder / "garbage.jpg").write_bytes(jpeg(NOISE[::-1].copy()) + b"trailing garbage")
    return sorted(bad)


def test_d1_corrupt_files_fail_with_one_list(class_folders, tmp_path):
    bad = d1_files(class_folders / "dark")
    with pytest.raises(DataError) as error:
        split(spec_of(class_folders), tmp_path / "out")
    assert error.value.exit_code == 3
    listed = [line.strip().split(": ")[0].rsplit("/")[-1] for line in error.value.message.splitlines()[1:]]
    assert listed == bad
    assert "data.on_corrupt: skip" in error.value.hint
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["unreadable.csv"]


def test_d1_corrupt_files_are_skipped_on_request_and_listed_once(class_folders, tmp_path):
    bad = d1_files(class_folders / "dark")
    table, report = run(class_folders, tmp_path / "out", ", on_corrupt: skip")
    assert [Path(item["path"]).name for item in report["unreadable"]] == bad
    assert all(item["reason"] for item in report["unreadable"])
    names = {Path(path).name for path in table["path"]}
    assert {"png.jpg", "garbage.jpg"} <= names, "a wrong suffix and bytes behind the image do no harm"
    assert not names & set(bad)
    assert len((tmp_path / "out/unreadable.csv").read_text().splitlines()) == len(bad) + 1


def test_d1_flipped_bits_are_read_or_refused_never_anything_else(tmp_path):
    good, rng = jpeg(), np.random.default_rng(1)
    for number in range(200):
        changed = bytearray(good)
        changed[rng.integers(len(good))] ^= 1 << rng.integers(8)
        (tmp_path / f"{number}.jpg").write_bytes(changed)
        try:
            assert read_image(tmp_path / f"{number}.jpg", RGB).mode == "RGB"
        except UnreadableImageError as error:
            assert error.message


def png_chunk(kind, content):
    body = kind + content
    return struct.pack(">I", len(content)) + body + struct.pack(">I", zlib.crc32(body))


def png_of(width, height, *chunks):
    head = png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + b"".join(chunks) + png_chunk(b"IEND", b"")


def test_d2_decompression_bombs(tmp_path):
    line = zlib.compress(bytes(50_001))
    bombs = {
        "wide.png": png_of(50_000, 50_000, png_chunk(b"IDAT", line)),
        "large.png": png_of(12_000, 12_000, png_chunk(b"IDAT", line)),
        "text.png": png_of(8, 8, png_chunk(b"zTXt", b"k\0\0" + zlib.compress(bytes(200 << 20)))),
    }
    frames = [Image.new("L", (64, 64), value % 256) for value in range(500)]
    frames[0].save(tmp_path / "many.gif", save_all=True, append_images=frames[1:])
    with Growth() as memory:
        for name, content in bombs.items():
            (tmp_path / name).write_bytes(content)
            with pytest.raises(UnreadableImageError) as error:
                read_image(tmp_path / name, RGB)
            assert error.value.message
        assert read_image(tmp_path / "many.gif", GRAY).getpixel((0, 0)) == 0
    assert memory.kb < 300_000


GOLDEN = {
    "1": (Image.new("1", (4, 4), 1), (255, 255, 255)),
    "L": (Image.new("L", (4, 4), 77), (77, 77, 77)),
    "LA": (Image.new("LA", (4, 4), (77, 0)), (255, 255, 255)),
    "P": (Image.new("RGB", (4, 4), (10, 200, 30)).convert("P", palette=Image.Palette.ADAPTIVE), (10, 200, 30)),
    "RGB": (Image.new("RGB", (4, 4), (1, 2, 3)), (1, 2, 3)),
    "RGBA": (Image.new("RGBA", (4, 4), (1, 2, 3, 0)), (255, 255, 255)),
    "I;16": (Image.fromarray(np.full((4, 4), 128 * 257, np.uint16)), (128, 128, 128)),
    "I": (Image.fromarray(np.full((4, 4), 65535, np.int32)), (255, 255, 255)),
    "F": (Image.fromarray(np.full((4, 4), 0.5, np.float32)), (128, 128, 128)),
    "CMYK": (Image.new("CMYK", (4, 4), (0, 255, 255, 0)), (255, 0, 0)),
}


@pytest.mark.parametrize("mode", GOLDEN)
def test_d3_modes_have_the_documented_pixels(tmp_path, mode):
    image, expected = GOLDEN[mode]
    path = tmp_path / f"a.{'tif' if mode in ('F', 'I', 'CMYK') else 'png'}"
    image.save(path)
    with Image.open(path) as saved:
        assert saved.mode == ("I;16" if mode == "I;16" else mode)
    assert read_image(path, RGB).getpixel((1, 1)) == expected


def test_d3_transparent_palette_and_ycbcr_and_profile(tmp_path):
    palette = Image.new("RGB", (4, 4), (10, 200, 30)).convert("P", palette=Image.Palette.ADAPTIVE)
    palette.info["transparency"] = 0
    palette.save(tmp_path / "p.png", transparency=0)
    assert read_image(tmp_path / "p.png", RGB).getpixel((0, 0)) == (255, 255, 255)
    assert read_image(tmp_path / "p.png", RGB, DataSpec(background="none")).getpixel((0, 0)) == (10, 200, 30)
    Image.new("YCbCr", (8, 8), (128, 128, 128)).save(tmp_path / "y.jpg")
    assert read_image(tmp_path / "y.jpg", RGB).getpixel((0, 0)) == (128, 128, 128)
    Image.new("RGB", (8, 8), (9, 8, 7)).save(tmp_path / "i.png", icc_profile=b"not a profile")
    assert read_image(tmp_path / "i.png", RGB).getpixel((0, 0)) == (9, 8, 7)


def test_d3_sixteen_bits_are_not_truncated(tmp_path):
    Image.fromarray(np.full((4, 4), 1000, np.uint16)).save(tmp_path / "a.png")
    assert read_image(tmp_path / "a.png", GRAY16).getpixel((0, 0)) == 1000
    assert read_image(tmp_path / "a.png", GRAY).getpixel((0, 0)) == round(1000 / 257)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_d3_all_eight_orientations(tmp_path, orientation):
    """The turns and mirrors of the EXIF standard, by the place where the dark corner ends up."""
    pixels = np.full((16, 32), 255, np.uint8)
    pixels[:8, :8] = 0
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(pixels).save(tmp_path / "a.png", exif=exif)
    upright = np.asarray(read_image(tmp_path / "a.png", GRAY))
    corners = {1: (0, 0), 2: (0, -1), 3: (-1, -1), 4: (-1, 0), 5: (0, 0), 6: (0, -1), 7: (-1, -1), 8: (-1, 0)}
    assert upright.shape == ((16, 32) if orientation <= 4 else (32, 16))
    assert upright[corners[orientation]] == 0
    assert (upright == 0).sum() == 64


def test_d4_animations_and_pages_use_the_first_and_are_counted(class_folders, tmp_path):
    frames = [Image.fromarray(NOISE), Image.fromarray(255 - NOISE)]
    for name in ("a.gif", "a.webp", "a.tif", "a.png"):
        turned = [frame.rotate(len(name) * ord(name[-1])) for frame in frames]
        turned[0].save(class_folders / "dark" / name, save_all=True, append_images=turned[1:])
    first = Image.fromarray(NOISE).rotate(5 * ord("f")).convert("L")
    np.testing.assert_array_equal(np.asarray(read_image(class_folders / "dark/a.tif", GRAY)), np.asarray(first))
    _, report = run(class_folders, tmp_path / "out")
    assert sorted(Path(path).name for path in report["several_frames"]) == ["a.gif", "a.png", "a.tif", "a.webp"]


@pytest.mark.parametrize("size", [(1, 1), (1, 10_000), (10_000, 1), (2, 30_000)])
@pytest.mark.parametrize("crop", [True, False])
def test_d5_extreme_shapes(tmp_path, size, crop):
    Image.new("RGB", size, (5, 6, 7)).save(tmp_path / "a.png")
    with Growth() as memory:
        pixels = to_array(read_fitted(tmp_path / "a.png", RGB, DataSpec(), crop)[0])
    assert pixels.shape == (32, 32, 3)
    assert (pixels == [5, 6, 7]).all()
    assert memory.kb < 300_000


def three_splits(root, rename):
    parts = itertools.product(("train", "val", "test"), ("a", "b"), range(3))
    for shift, (part, name, number) in enumerate(parts):
        path = root / part / name / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.roll(NOISE, shift)).save(path)
    rename(root)
    return parse_spec(
        f"data: {{train_dataset_path: {root}/train, val_dataset_path: {root}/val}}\n"
        f"evaluate: {{dataset_path: {root}/test}}"
    )


@pytest.mark.parametrize(
    ("part", "old", "new", "said"),
    [
        ("val", "b", None, "only in train"),
        ("train", "b", None, "only in val"),
        ("val", "b", "B", "only in train .*: b; only in val .*: B"),
        ("test", "b", "c", "only in train .*: b; only in test .*: c"),
    ],
)
def test_d6_classes_that_differ_between_splits(tmp_path, part, old, new, said):
    def rename(root):
        folder = root / part / old
        folder.rename(root / part / new) if new else shutil.rmtree(folder)

    with pytest.raises(DataError, match=said):
        split(three_splits(tmp_path / "in", rename), tmp_path / "out")


def test_d7_odd_class_folders(class_folders, tmp_path):
    (class_folders / "stray.jpg").write_bytes(jpeg())
    (class_folders / "dark/notes.txt").write_text("x")
    nested = class_folders / "light/more/deep"
    nested.mkdir(parents=True)
    (nested / "n.jpg").write_bytes(jpeg())
    table, report = run(class_folders, tmp_path / "out")
    assert len(table) == 25, "nested images belong to their class"
    left_out = {reason: found["files"] for reason, found in report["left_out"].items()}
    assert left_out == {"beside the class folders": 1, "with the suffix .txt": 1}
    (class_folders / "none").mkdir()
    with pytest.raises(DataError, match="no images in the class folders none"):
        run(class_folders, tmp_path / "out2")


ODD = [
    "with space", "quote'd", 'double"quote', "new\nline", "-dash", "emoji😀", unicodedata.normalize("NFC", "é"),
    unicodedata.normalize("NFD", "é"), "x" * 240, "{braces}", "{wildcard}{a}", "100%", "com,ma", "#hash", "$HOME",
    "`x`",
]  # fmt: skip


def test_d8_odd_file_names_survive_the_whole_table(class_folders, tmp_path):
    rng = np.random.default_rng(5)
    for name in ODD:
        Image.fromarray(rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)).save(class_folders / "dark" / f"{name}.png")
    raw = os.path.join(os.fsencode(class_folders / "dark"), b"not-utf8-\xff\xfe.jpg")
    with open(raw, "wb") as file:
        file.write(jpeg())
    shutil.copy(raw, os.fsencode(class_folders / "light") + b"/copy-\xff.jpg")
    table, report = run(class_folders, tmp_path / "out")
    assert len(table) == 24 + len(ODD) + 1
    assert all(os.path.exists(path) for path in table["path"])
    assert json.loads((tmp_path / "out/report.json").read_text())["duplicates"][0]["path"].endswith(".jpg")
    assert len(report["duplicates"]) == 1


@pytest.mark.parametrize("name", ["new\nline", "bell\x07", b"bytes-\xff"])
def test_d8_a_class_name_that_no_label_file_can_hold_is_refused(class_folders, tmp_path, name):
    root = os.fsencode(class_folders)
    shutil.copytree(root + b"/dark", os.path.join(root, name if isinstance(name, bytes) else name.encode()))
    with pytest.raises(DataError, match="in its name"):
        run(class_folders, tmp_path / "out")


def test_d8_twins_in_two_encodings(class_folders, tmp_path):
    composed, decomposed = unicodedata.normalize("NFC", "é"), unicodedata.normalize("NFD", "é")
    (class_folders / "dark").rename(class_folders / decomposed)
    _, report = run(class_folders, tmp_path / "out")
    assert report["classes"] == ["light", composed]
    shutil.copytree(class_folders / decomposed, class_folders / composed)
    with pytest.raises(DataError, match="two class folders are called"):
        run(class_folders, tmp_path / "out2")


def test_d9_links(class_folders, tmp_path):
    dark = class_folders / "dark"
    (tmp_path / "elsewhere.jpg").write_bytes(jpeg())
    (dark / "out-of-tree.jpg").symlink_to(tmp_path / "elsewhere.jpg")
    (dark / "twice.jpg").symlink_to(dark / "00.jpg")
    os.link(dark / "01.jpg", dark / "hard.jpg")
    (dark / "loop").symlink_to(dark)
    table, report = run(class_folders, tmp_path / "out")
    names = {Path(path).name for path in table["path"]}
    assert "out-of-tree.jpg" in names
    assert len(table) == 25
    assert {Path(item["path"]).name for item in report["duplicates"]} == {"twice.jpg", "hard.jpg"}
    (dark / "dangling.jpg").symlink_to(dark / "nowhere.jpg")
    (dark / "itself.jpg").symlink_to(dark / "itself.jpg")
    with pytest.raises(DataError, match="2 image files cannot be read") as error:
        run(class_folders, tmp_path / "out2")
    assert "dangling.jpg: No such file" in error.value.message
    assert "itself.jpg: Too many levels of symbolic links" in error.value.message


def test_d10_an_image_in_two_splits_is_counted_and_kept_where_it_is_measured(tmp_path):
    def leak(root):
        shutil.copy(root / "test/a/0.png", root / "train/a/leak.png")

    spec = three_splits(tmp_path / "in", leak)
    report = split(spec, tmp_path / "out")
    assert [Path(item["path"]).name for item in report["duplicates"]] == ["leak.png"]


def test_d11_a_file_that_vanishes_while_training(class_folders, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("one.yaml").write_text(
        "key: k\ndata: {source: images, preprocess_mode: tf, cache: never}\n"
        "model: {arch: resnet_10, input_image_size: [3, 32, 32], use_batch_norm: True}\n"
        "train: {num_epochs: 200, batch_size_per_gpu: 4}\n"
    )
    status = Path("results/one/status.json")

    def spoil():
        while not (status.exists() and '"epoch": 1' in status.read_text()):
            threading.Event().wait(0.05)
        for path in (class_folders / "dark").iterdir():
            path.unlink()

    threading.Thread(target=spoil, daemon=True).start()
    assert main(["train", "-e", "one.yaml"]) == 3
    error = capsys.readouterr().err
    assert "No such file or directory\nhint: it was removed or changed after split" in error
    assert "Traceback" not in error
    assert json.loads(status.read_text().splitlines()[-1])["status"] == "FAILURE"
    assert list(Path("work/one/train").glob("checkpoint_*"))


def test_d12_numbered_folders_have_a_stated_order(tmp_path):
    for name in range(12):
        for number in range(4):
            path = tmp_path / "in" / str(name) / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(np.roll(NOISE, 31 * name + number)).save(path)
    _, report = run(tmp_path / "in", tmp_path / "out")
    assert report["classes"] == sorted(str(name) for name in range(12)), "by letters: 10 before 2"
    assert json.loads((tmp_path / "out/classmap.json").read_text())["10"] == 2
