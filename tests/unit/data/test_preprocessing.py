"""One preprocessing: the same image gives the same tensor wherever it goes in, and as the exported sidecar says."""

import json

import numpy as np
import pytest
from PIL import Image
from secateur.cli.main import main
from secateur.data.images import read_resized
from secateur.data.manifest import read_manifest
from secateur.data.pipeline import ImageBatches, ImageFiles, ImageReader, TrainingBatches
from secateur.data.preprocessing import read_fitted
from secateur.export.input_scaling import preprocessing_of
from secateur.run import run_of
from secateur.spec import DataSpec, ModelSpec, PruneSpec, parse_spec
from secateur.steps.inference import Values, label_images
from secateur.steps.pruning_images import pruning_images

SPEC = """
key: k
data: {{source: images, preprocess_mode: {mode}}}
model: {{arch: resnet_10, input_image_size: [{channels}, 24, 40], resize_interpolation_method: {resampling}}}
augment: {{enable_random_crop: False, enable_center_crop: {crop}, enable_color_augmentation: False,
  disable_horizontal_flip: True, mixup_alpha: 0.0}}
"""


def by_the_sidecar(path, about):
    """As another program would: nothing but Pillow, NumPy and preprocessing.json."""
    about = json.loads(json.dumps(about))
    width, height = about["width"], about["height"]
    with Image.open(path) as file:
        image = file.convert("L" if about["channels"] == 1 else "RGB")
    resampling = Image.Resampling[about["interpolation"].upper()]
    if about["crop"] == "center":
        assert "(width + 32) / w, (height + 32) / h" in about["resize_before_crop"]
        ratio = max((width + 32) / image.width, (height + 32) / image.height)
        image = image.resize((int(image.width * ratio), int(image.height * ratio)), resampling)
        left, top = round(image.width / 2) - round(width / 2), round(image.height / 2) - round(height / 2)
        image = image.crop((left, top, left + width, top + height))
    else:
        image = image.resize((width, height), resampling)
    pixels = np.asarray(image, np.float32).reshape(height, width, about["channels"])
    if about["channel_order"] == "BGR":
        pixels = pixels[..., ::-1]
    return (pixels - np.array(about["mean"])) * np.array(about["scale"])


class Recorder:
    """In place of a network: keeps what it is fed."""

    def predict_on_batch(self, batch):
        self.fed = batch
        return np.eye(2)[: len(batch)]


@pytest.mark.parametrize("mode", ["torch", "caffe", "tf"])
@pytest.mark.parametrize(
    ("channels", "crop", "resampling"), [(3, True, "bilinear"), (3, False, "bicubic"), (1, True, "bicubic")]
)
def test_one_image_through_every_door(class_folders, tmp_path, monkeypatch, mode, channels, crop, resampling):
    monkeypatch.chdir(tmp_path)
    text = SPEC.format(mode=mode, channels=channels, crop=crop and channels == 3, resampling=resampling)
    (tmp_path / "one.yaml").write_text(text)
    assert main(["split", "-e", "one.yaml"]) == 0
    spec = parse_spec(text)
    path = str(class_folders / "dark/00.jpg")
    reader = ImageReader(spec.data, spec.augment, spec.model, 1)
    recorder = Recorder()
    label_images(recorder, reader, [path], ["a", "b"], 1, Values(spec.data))
    run = run_of("one", spec)
    manifest = read_manifest(run.manifest)
    manifest["split"] = np.where(manifest["path"].str.endswith("dark/00.jpg"), "train", "val")
    doors = {
        "training": TrainingBatches(reader, ImageFiles(reader, [path], training=True), [0], 2, 1, 0, 0)[0][0][0],
        "evaluation": ImageBatches(reader, ImageFiles(reader, [path], training=False), [0], 2, 1)[0][0][0],
        "inference": recorder.fed[0],
        "pruning": pruning_images(run, PruneSpec(threshold=0.5), manifest, ["dark", "light"]).pixels[0],
    }
    if spec.augment.enable_center_crop:
        del doors["training"]  # there is no centre crop in training
    for name, tensor in doors.items():
        np.testing.assert_array_equal(tensor, doors["evaluation"], err_msg=name)
    np.testing.assert_allclose(by_the_sidecar(path, preprocessing_of(spec)), doors["evaluation"], atol=2e-5)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("crop", [True, False])
def test_a_large_jpeg_decoded_at_a_smaller_scale_gives_the_same_pixels(tmp_path, orientation, crop):
    """Within rounding of decoding it whole: one level in the mean, a few at edges."""
    across, down = np.meshgrid(np.linspace(0, 25, 1203), np.linspace(0, 21, 801))
    pixels = np.stack([np.sin(across), np.cos(down), np.sin(across - down)], axis=-1)
    exif = Image.Exif()
    exif[0x0112] = orientation
    image = Image.fromarray(np.round(127 + 100 * pixels).astype(np.uint8))
    image.save(tmp_path / "a.jpg", quality=95, exif=exif)
    model = ModelSpec(input_image_size="3,64,48")
    got, size = read_fitted(tmp_path / "a.jpg", model, DataSpec(), crop)
    whole, _ = read_resized(tmp_path / "a.jpg", model, DataSpec(), lambda size: size)
    whole.save(tmp_path / "upright.png")
    expected, upright = read_fitted(tmp_path / "upright.png", model, DataSpec(), crop)
    assert size == upright == ((801, 1203) if orientation > 4 else (1203, 801))
    difference = np.abs(np.asarray(got, int) - np.asarray(expected, int))
    assert difference.mean() < 0.7
    assert difference.max() <= 6


def test_only_as_much_of_a_jpeg_is_decoded_as_is_needed(tmp_path, monkeypatch):
    Image.new("RGB", (1600, 1200), (10, 200, 30)).save(tmp_path / "a.jpg")
    decoded = []
    load = Image.core.new
    monkeypatch.setattr(Image.core, "new", lambda mode, size: decoded.append(size) or load(mode, size))
    read_fitted(tmp_path / "a.jpg", ModelSpec(input_image_size="3,64,64"), DataSpec(), True)
    assert max(decoded) == (400, 300)
