"""The command `secateur new`: it writes a spec with comments, with choices that fit the images and the machine.

See docs/decisions/pruning-ways.md.
"""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
import yaml

from secateur.data.addresses import Reach
from secateur.data.examination import deep_values
from secateur.data.image_opening import UnreadableImageError, opened
from secateur.data.left_out import LeftOut, accounted
from secateur.data.pixel_findings import fitting_range
from secateur.data.pixel_values import is_deep
from secateur.data.preflight import IMBALANCE, all_left_out
from secateur.data.sources import listed
from secateur.data.splitting import refuse_empty_classes
from secateur.errors import ArtifactError, DataError, SpecError
from secateur.run import EXPERIMENT_NAME
from secateur.runtime.gpu import devices
from secateur.runtime.terminal import one_line
from secateur.spec import DataSpec
from secateur.storage.atomic import write_text
from secateur.storage.regular_files import read_regular

SAMPLED = 200  # number of images whose sizes are read: enough for a median
SIDES = (32, 64, 96, 128, 160, 192, 224)
CPU_SIDE = 96  # largest input side on a machine without a GPU: twice the side is four times the work
CROP_FROM = 128  # crops remove a border of 32 pixels, which is too much of smaller images
SMALL = 48  # pixels: up to this side a network of 10 layers is enough
GRAY_MODES = ("1", "L", "I", "I;16", "I;16B", "F")
IMAGES_SEEN = 40_000  # images in the first training, all epochs together
EPOCHS = (10, 60)
RATE, RATED_BATCH = 0.004, 32  # measured: bench/pruning/rates.py
ANYWHERE = "\n  table_paths: anywhere          # the table names files outside its folder, or of other hosts"
VALUES = "\n  value_range: {:<18}# the values in the files that are black and white"
SHARES = "\n  split: {train: 0.7, val: 0.1, test: 0.2, seed: 42}   # shares per class"
TEMPLATE = """# yaml-language-server: $schema=../spec.schema.json
# Written by `secateur new` from {images:,} images of {classes} classes on {machine}.
# Every key: config/README.md.
key: env:SECATEUR_KEY            # passphrase that encrypts the models: export SECATEUR_KEY=...
data:
  source: {source}{reach}{shares}
  preprocess_mode: torch{values}
  on_corrupt: fail               # skip: ignore files that cannot be read
augment:
  # Crops remove a border of 32 pixels. That is too much of images below {crop_from} pixels.
  enable_random_crop: {crop}
  enable_center_crop: {crop}
  enable_color_augmentation: {color}
  disable_horizontal_flip: False # True if left and right differ: text, digits, sides of a body
  mixup_alpha: 0.0               # 0.2 helps in long trainings of large networks
model:
  # Sizes and latencies of all networks: bench/zoo.md. resnet_10 has a third of the weights of resnet_18.
  arch: {arch}
  # channels, height, width. The shorter side of the images has {shown_side} pixels (median). Twice the side is four
  # times the work.
  input_image_size: [{channels}, {side}, {side}]
  input_image_depth: {bits}
  use_batch_norm: True
train:
  batch_size_per_gpu: {batch}         # images per batch; use fewer if memory is short
  num_epochs: {epochs}
  n_workers: {workers}
{weights}  optim_config: {{optimizer: adam}}
  # 0.004 at a batch of 32: Adam's usual 0.001 is too slow from random weights (bench/pruning). For trained weights
  # use less.
  lr_config: {{scheduler: cosine, learning_rate: {rate}, soft_start: 0.05}}
  # Larger than accuracy alone needs: it shrinks useless filters, so that pruning finds them.
  reg_config: {{type: L2, scope: [conv2d, dense], weight_decay: 0.001}}
prune:
  target_macs: 0.5               # half of the work; or target_size_mb, target_latency_ms, threshold: docs/pruning.md
  importance: bn_scale           # with ranking uniform: the best that was measured for networks that are retrained
  ranking: uniform
retrain:                         # as train, except for these keys
  num_epochs: {epochs_again}
  reg_config: {{weight_decay: 0.00005}}
evaluate:
  top_k: {top_k}
export:
  output_path: EXPORTDIR/{arch}.etlt   # suffix .onnx: not encrypted
  data_type: fp32                # int8: a quarter of the size, and faster
"""


@dataclass(frozen=True)
class Survey:
    """Facts about a folder of images.

    Attributes:
        source: the folder.
        counts: number of images per class.
        split: whether the folder has train, val and test folders.
        side: median of the shorter sides, in pixels.
        gray: whether all sampled images are gray.
        bits: bits per channel, 8 or 16.
        reach: what a table can name, as `data.table_paths`.
        left_out: the files that are no images here, by reason.
        values: `data.value_range` that holds the sampled images of more than 8 bits.
        unread: path and reason of each sampled image that cannot be read.
    """

    source: str
    counts: pd.Series
    split: bool
    side: int
    gray: bool
    bits: int
    reach: Reach = "inside"
    left_out: LeftOut = field(default_factory=LeftOut)
    values: str = "auto"
    unread: tuple[str, ...] = ()

    @property
    def images(self) -> int:
        """The number of all images."""
        return int(self.counts.sum())


def new_spec(
    source: str, folder: Path, name: str | None, environment: Mapping[str, str], reach: Reach = "inside"
) -> tuple[str, Path, str]:
    """Write `config/specs/NAME.yaml` for a folder of images.

    Args:
        source: as `data.source`: class folders, train/val/test folders, a table, Pascal VOC, an archive.
        folder: where `config/` is.
        name: of the experiment; None: the name of the folder.
        environment: the environment variables that choose GPUs.
        reach: what a table can name, as `data.table_paths`.

    Returns:
        The name, the spec file, and a sentence about the images.

    Raises:
        DataError: there are no images.
        SpecError: the name is not valid, or its spec file exists.
    """
    name = name or re.sub(r"[^A-Za-z0-9_.-]+", "-", Path(source).stem).strip("-.") or "images"
    if not EXPERIMENT_NAME.fullmatch(name):
        raise SpecError(f"'{name}' cannot name an experiment", "give --name with letters, digits, - and _")
    target = folder / "config" / "specs" / f"{name}.yaml"
    if target.exists():
        raise SpecError(f"{target} is there already", "give another --name, or remove it")
    found = survey(source, folder, reach)
    write_text(target, spec_text(found, len(devices(environment)), os.cpu_count() or 1))
    gray = "gray" if found.gray else "colour"
    counts = found.counts
    sizes = (
        f"each class has {counts.max():,}"
        if counts.min() == counts.max()
        else f"the largest class is {counts.idxmax()} with {counts.max():,}, the smallest {counts.idxmin()} with "
        f"{counts.min():,}"
    )
    seen = f"{found.images:,} images of {len(counts)} classes, {gray}, {found.side} pixels on the shorter side; {sizes}"
    return name, target, "\n".join([seen, *_left_out_in_words(found), *_unread_in_words(found)])


def _left_out_in_words(found: Survey) -> list[str]:
    """Lines about the files that are no images here; none if there are none."""
    if not found.left_out.total:
        return []
    warnings = (f"warning: {words}" for words in found.left_out.warnings())
    return [one_line(words) for words in (accounted(found.images, found.left_out, "images"), *warnings)]


def _unread_in_words(found: Survey) -> list[str]:
    if not found.unread:
        return []
    looked_at = min(found.images, SAMPLED)
    words = f"of {looked_at:,} images looked at, {len(found.unread):,} cannot be read, such as {found.unread[0]}"
    return [one_line(f"warning: {words}")]


def survey(source: str, folder: Path, reach: Reach = "inside") -> Survey:
    """Read the facts about the images that `data.source` would name. Raises DataError."""
    listings = listed(source, "DIR", "first", folder / "work" / "cache" / "unpacked", reach)
    table = pd.concat([listing.table for listing in listings.values()], ignore_index=True)
    refuse_empty_classes(listings, table)
    if table.empty:
        raise DataError(f"no images in {source}", "put the images of each class into a separate folder")
    counts = table["class"].value_counts().sort_index()
    if len(counts) < 2:
        raise DataError(
            f"{source} has images of one class, {counts.index[0]}", "a classifier needs at least two classes"
        )
    positions = np.unique(np.linspace(0, len(table) - 1, SAMPLED).astype(int))
    sizes, modes, values, unread = _seen(table["path"].iloc[positions])
    if not sizes:
        raise DataError(
            f"none of the sampled images in {source} can be read; {unread[0]}",
            "open a few of the files in an image viewer",
        )
    gray = modes <= set(GRAY_MODES)
    deep = gray and any(mode.startswith(("I", "F")) for mode in modes)
    side, bits, split = int(np.median(sizes)), 16 if deep else 8, "source" not in listings
    return Survey(
        source, counts, split, side, gray, bits, reach, all_left_out(listings), _range_of(values), tuple(unread)
    )


def _seen(paths: Iterable[str]) -> tuple[list[int], set[str], dict[str, list[float]], list[str]]:
    """The shorter sides, the modes, the least and greatest deep values by the mode's letter, and what is unreadable."""
    sizes, modes, unread = [], set(), []
    values: dict[str, list[float]] = {}
    for path in paths:
        try:
            with opened(path, DataSpec().max_pixels) as image:
                sizes.append(min(image.size))
                modes.add(image.mode)
                if is_deep(image):
                    image.load()
                    values.setdefault(image.mode[0], []).extend(deep_values(image)[:2])
        except UnreadableImageError as error:
            unread.append(f"{path}: {error.message}")
            continue  # the split step lists the files that cannot be read
    return sizes, modes, values, unread


def _range_of(values: dict[str, list[float]]) -> str:
    """The range of values for the spec. One range holds for all images; if none does, split says so."""
    fitting = {fitting_range(letter, min(seen), max(seen)) for letter, seen in values.items()}
    return fitting.pop() if len(fitting) == 1 else "auto"


def side_of(found: Survey, gpus: int) -> int:
    """The input side: the largest multiple of 32 that the images fill and the machine can train in reasonable time."""
    fitting = [side for side in SIDES if side <= max(found.side, SIDES[0])]
    return min(fitting[-1], SIDES[-1] if gpus else CPU_SIDE)


def spec_text(found: Survey, gpus: int, cores: int) -> str:
    """The text of the spec.

    Args:
        found: facts about the images.
        gpus: number of GPUs of the machine.
        cores: number of CPU cores of the machine.
    """
    side, training = side_of(found, gpus), round(found.images * 0.7)
    epochs = int(np.clip(round(IMAGES_SEEN / max(training, 1)), *EPOCHS))
    batch = max(2, min(64 if gpus else 32, training // 8))
    machine = f"{gpus} GPU{'s' if gpus > 1 else ''}" if gpus else f"{cores} CPU cores, no GPU"
    return TEMPLATE.format(
        images=found.images,
        classes=len(found.counts),
        machine=machine,
        # A JSON string is a YAML string too.
        source=json.dumps(found.source, ensure_ascii=False),
        reach="" if found.reach == "inside" else ANYWHERE,
        shares="" if found.split else SHARES,
        values="" if found.values == "auto" else VALUES.format(found.values),
        crop=side >= CROP_FROM,
        crop_from=CROP_FROM,
        color=not found.gray,
        arch="resnet_10" if side <= SMALL else "resnet_18",
        shown_side=found.side,
        channels=1 if found.gray else 3,
        side=side,
        bits=found.bits,
        batch=batch,
        rate=_rate(batch),
        epochs=epochs,
        epochs_again=max(5, epochs // 2),
        workers=max(2, min(10, cores)),
        weights=_weights(found),
        top_k=min(3, len(found.counts)),
    )


def _rate(batch: int) -> float:
    """Adam's rate grows with the root of the batch (Malladi et al., NeurIPS 2022), up to the rate that was measured."""
    return round(RATE * math.sqrt(min(batch, RATED_BATCH) / RATED_BATCH), 4)


def _weights(found: Survey) -> str:
    """Lines about classes with very different numbers of images. The class names are quoted: they may hold anything."""
    most, least = found.counts.idxmax(), found.counts.idxmin()
    ratio = found.counts.max() / found.counts.min()
    if ratio < IMBALANCE:
        return ""
    return f"  # {most!r} has {ratio:.0f} times the images of {least!r}.\n  class_weights: balanced\n"


def add_to_config(name: str, spec: Path, folder: Path) -> bool:
    """Add an experiment to `config/config.yaml`, below its line `experiments:`. Without the file it is written.

    Returns:
        Whether the experiment is in the file now. A file of another form is not changed.

    Raises:
        ArtifactError: the file cannot be written.
    """
    path = folder / "config" / "config.yaml"
    try:
        text = read_regular(path).decode("utf-8") if os.path.lexists(path) else "experiments:\n"
    except OSError:
        return False
    added = f"  {name}: {spec.relative_to(folder)}\n"
    heading = re.compile(r"^experiments:[ \t]*(\{\}|~|null)?[ \t]*(?P<comment>#.*)?\n?", re.MULTILINE)
    new = heading.sub(lambda line: f"experiments:{'  ' + line['comment'] if line['comment'] else ''}\n{added}", text, 1)
    if not _adds(text, new, name, str(spec.relative_to(folder))):
        return False
    try:
        write_text(path, new)
    except ArtifactError as error:
        raise ArtifactError(f"{error.message}; the spec is {spec}", error.hint) from error
    return True


def _adds(old: str, new: str, name: str, spec: str) -> bool:
    """Whether the new text adds this experiment to the old text and changes nothing else."""
    try:
        before, after = yaml.safe_load(old), yaml.safe_load(new)
    except yaml.YAMLError:
        return False
    if not isinstance(before, dict) or name in (before.get("experiments") or {}):
        return False
    wanted: bool = after == {**before, "experiments": {**(before.get("experiments") or {}), name: spec}}
    return wanted
