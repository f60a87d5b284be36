"""Images a second that reach the network: ours, with and without the cache, beside other ways to do the same.

    .venv/bin/python bench/input/throughput.py --images ../shared/data/clothing/train --work WORK \
        [--count 1024] [--rounds 3] [--out bench/results/input.json]

Each way reads JPEG files and makes float32 batches of 32 images of 224x224: a random crop (45 to 100 % of a side),
mirroring, hue, saturation and contrast, scaled as `torch`. They take turns, in another order each round; every way
has a warm-up that does not count. `limit` only decodes, with OpenCV's libjpeg-turbo. All use two threads (processes).
"""

from __future__ import annotations

import argparse
import os
import platform
import resource
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from importlib.metadata import version
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
sys.path.insert(0, str(Path(__file__).parent.parent.parent / "scripts"))

import cv2
import keras
import numpy as np
import tensorflow as tf
from PIL import Image
from secateur.data.filesystem import files_below
from secateur.data.image_cache import cache_path, open_image_cache, write_image_cache
from secateur.data.pipeline import ImageFiles, ImageReader, Images, TrainingBatches
from secateur.spec import AugmentSpec, DataSpec, ModelSpec
from secateur.storage.atomic import write_json

SIDE, BATCH, WORKERS = 224, 32, 2
MEAN, STD = np.array([0.485, 0.456, 0.406], np.float32), np.float32(0.224)
MODEL = ModelSpec(input_image_size=(3, SIDE, SIDE))


def main() -> None:
    """Measure and print; write JSON when asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", required=True)
    parser.add_argument("--work", required=True, type=Path)
    parser.add_argument("--count", type=int, default=1024)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out")
    options = parser.parse_args()
    cv2.setNumThreads(1)
    paths = sorted(files_below(options.images))
    chosen = np.random.default_rng(0).permutation(len(paths))[: options.count // BATCH * BATCH]
    paths = [paths[position] for position in chosen]
    with ProcessPoolExecutor(WORKERS) as processes:
        ways = _ways(paths, options.images, options.work, processes)
        for way in ways.values():
            way(paths[: 4 * BATCH])
        times: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
        for number in range(options.rounds):
            names = list(ways) if number % 2 == 0 else list(ways)[::-1]
            for name in names:
                times[name].append(_timed(lambda way=ways[name]: way(paths)))
                print(f"{name:28} {len(paths) / times[name][-1][0]:8.0f} images/s", flush=True)
    figures = _figures(times, len(paths))
    for name, row in figures.items():
        print(f"{name:28} {row['images_per_s']:8.0f} images/s  {row['images_per_cpu_s'] or 0:8.0f} images/CPU s")
    if options.out:
        about = {name: version(name) for name in ("tensorflow", "keras", "pillow", "opencv-python-headless", "numpy")}
        write_json(options.out, {"images": len(paths), "versions": about, "cpu": platform.processor(), "ways": figures})


def _timed(way: Callable[[], None]) -> tuple[float, float]:
    def used() -> float:
        parts = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
        return sum(part.ru_utime + part.ru_stime for part in parts)

    wall, cpu = time.perf_counter(), used()
    way()
    return time.perf_counter() - wall, used() - cpu


def _figures(times: dict[str, list[tuple[float, float]]], count: int) -> dict[str, dict[str, float | None]]:
    """Of the best round by wall time, as other work on the machine only slows a way down."""
    best = {name: min(rounds) for name, rounds in times.items()}
    ours = {name: best[name][0] for name in ("ours", "ours, cached")}
    return {
        name: {
            "images_per_s": round(count / wall, 1),
            # The processes of a pool report their time when they end: no figure for them.
            "images_per_cpu_s": round(count / cpu, 1) if "process" not in name else None,
            "ours_is_faster": round(wall / ours["ours"], 2),
            "cached_is_faster": round(wall / ours["ours, cached"], 2),
        }
        for name, (wall, cpu) in best.items()
    }


def _ways(
    paths: list[str], folder: str, work: Path, processes: ProcessPoolExecutor
) -> dict[str, Callable[[list[str]], None]]:
    reader = ImageReader(DataSpec(), AugmentSpec(mixup_alpha=0), MODEL, WORKERS)
    cached_file = cache_path(work, reader, paths, training=True, code="bench")
    if not cached_file.exists():
        write_image_cache(cached_file, ImageFiles(reader, paths, training=True), 0)
    cached = open_image_cache(cached_file, reader, len(paths))
    threads = ThreadPoolExecutor(WORKERS)
    return {
        "ours": lambda chosen: _ours(reader, ImageFiles(reader, chosen, training=True), len(chosen)),
        "ours, cached": lambda chosen: _ours(reader, cached, len(chosen)),
        "keras layers": lambda chosen: _drained(_keras_layers(folder), len(chosen)),
        "tf.data, crop while decoding": lambda chosen: _drained(_tf_data(chosen), len(chosen)),
        "TAO's recipe, threads": lambda chosen: _mapped(threads, chosen),
        "TAO's recipe, processes": lambda chosen: _mapped(processes, chosen),
        "limit: decode alone": lambda chosen: _consume(threads.map(_decode_alone, chosen)),
    }


def _consume(items: object) -> None:
    for _ in items:
        pass


def _ours(reader: ImageReader, images: Images, count: int) -> None:
    """Two threads ask for batches, as Keras does while it trains."""
    batches = TrainingBatches(reader, images, np.zeros(len(images), int), 2, BATCH, 0, 0)
    with ThreadPoolExecutor(2) as askers:
        _consume(askers.map(batches.__getitem__, range(count // BATCH)))


def _drained(dataset: tf.data.Dataset, count: int) -> None:
    _consume(dataset.take(count // BATCH))


def _keras_layers(folder: str) -> tf.data.Dataset:
    """`image_dataset_from_directory` and Keras' preprocessing layers, in their parallel map."""
    low, high = 0.45, 1.0
    layers = keras.Sequential(
        [
            keras.layers.RandomZoom((low - 1, high - 1), fill_mode="reflect"),
            keras.layers.RandomCrop(SIDE, SIDE),
            keras.layers.RandomFlip("horizontal"),
            keras.layers.RandomHue(25 / 360, value_range=(0, 255)),
            keras.layers.RandomSaturation((0.4, 0.6), value_range=(0, 255)),
            keras.layers.RandomContrast(0.1, value_range=(0, 255)),
            keras.layers.Normalization(mean=255 * MEAN, variance=[(255 * STD) ** 2] * 3),
        ]
    )
    dataset = keras.utils.image_dataset_from_directory(
        folder, image_size=(256, 256), batch_size=BATCH, shuffle=True, seed=0, verbose=False
    )
    return dataset.map(lambda images, _: layers(images, training=True), num_parallel_calls=WORKERS).prefetch(2)


def _tf_data(paths: list[str]) -> tf.data.Dataset:
    """The fastest that tf.image offers: only the crop is decoded."""

    def one(path: tf.Tensor) -> tf.Tensor:
        content = tf.io.read_file(path)
        shape = tf.io.extract_jpeg_shape(content)
        share = tf.random.uniform([], 0.45, 1.0)
        side = tf.cast(share * tf.cast(tf.minimum(shape[0], shape[1]), tf.float32), tf.int32)
        top = tf.random.uniform([], 0, shape[0] - side + 1, tf.int32)
        left = tf.random.uniform([], 0, shape[1] - side + 1, tf.int32)
        image = tf.io.decode_and_crop_jpeg(content, tf.stack([top, left, side, side]), channels=3)
        image = tf.image.resize(image, (SIDE, SIDE), antialias=True) / 255
        image = tf.image.random_flip_left_right(image)
        image = tf.image.random_hue(image, 25 / 360)
        image = tf.image.random_saturation(image, 0.8, 1.2)
        image = tf.clip_by_value(tf.image.random_contrast(image, 0.9, 1.1), 0, 1)
        return (image - MEAN) / STD

    return tf.data.Dataset.from_tensor_slices(paths).map(one, num_parallel_calls=WORKERS).batch(BATCH).prefetch(2)


def _mapped(pool: ThreadPoolExecutor | ProcessPoolExecutor, paths: list[str]) -> None:
    for start in range(0, len(paths), BATCH):
        np.stack(list(pool.map(_as_tao_does, paths[start : start + BATCH], chunksize=BATCH // WORKERS)))


def _as_tao_does(path: str) -> np.ndarray:
    """What tao-toolkit's generator does with one image: decode and resize it whole, crop, shift colours with NumPy."""
    rng = np.random.default_rng()
    with Image.open(path) as file:
        image = file.convert("RGB")
    ratio = max(SIDE / image.width, SIDE / image.height) / rng.uniform(0.45, 1.0)
    whole = max(SIDE, int(image.width * ratio)), max(SIDE, int(image.height * ratio))
    left, top = rng.integers(0, whole[0] - SIDE + 1), rng.integers(0, whole[1] - SIDE + 1)
    image = image.resize(whole, Image.Resampling.BILINEAR).crop((left, top, left + SIDE, top + SIDE))
    pixels = _shifted(np.asarray(image, np.float32) / 255, rng)
    if rng.random() < 0.5:
        pixels = pixels[:, ::-1]
    return (pixels - MEAN) / STD


def _shifted(pixels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    top, bottom = pixels.max(-1), pixels.min(-1)
    spread = np.where(top > bottom, top - bottom, 1)
    red, green, blue = (pixels[..., channel] for channel in range(3))
    hue = np.select(
        [top == red, top == green], [(green - blue) / spread % 6, (blue - red) / spread + 2], (red - green) / spread + 4
    )
    hue = (hue * 60 + rng.uniform(-25, 25)) % 360
    saturation = np.clip((top - bottom) / np.where(top > 0, top, 1) + rng.uniform(-0.2, 0.2), 0, 1)
    place = (np.array([5, 3, 1], np.float32) + hue[..., None] / 60) % 6
    shifted = top[..., None] * (1 - saturation[..., None] * np.clip(np.minimum(place, 4 - place), 0, 1))
    return np.clip((shifted - 0.5) * rng.uniform(0.9, 1.1) + 0.5, 0, 1).astype(np.float32)


def _decode_alone(path: str) -> np.ndarray:
    return cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_COLOR)


if __name__ == "__main__":
    main()
