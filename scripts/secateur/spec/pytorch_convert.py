"""Convert a spec of TAO's classification_pyt (PyTorch) to the specification's words, as far as it has a counterpart.

Every value of the file is carried over or named in the comments at the top. pytorch_spec has the tables.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from secateur.errors import SpecError
from secateur.spec.architectures import BYOM, FIXED, canonical_arch, family_name
from secateur.spec.effects import nested_section
from secateur.spec.placeholders import split_placeholder
from secateur.spec.pytorch_spec import (
    ABSENT,
    ALWAYS_ON,
    ENGINE_ROWS,
    NO_COUNTERPART,
    OF_THIS_RUN,
    OPTIMIZERS,
    PROPOSALS,
    REASONS,
    ROWS,
    SMALL,
    STEP_REASONS,
    WANDB_ROWS,
    WHOLE,
    WORDS,
    Era,
    Row,
    Words,
    era_of,
)
from secateur.spec.spec import Spec
from secateur.spec.spec_text import SpecText
from secateur.spec.yaml_text import yaml_text

NO_KEY = "none"
KEY_FROM = "env:SECATEUR_KEY"
DEFAULT = "the default of classification_pyt"
# Longest value in a comment.
SHOWN = 60
SECRET = re.compile(r"key|token|password|secret|credential", re.IGNORECASE)
# A schedule with more drops than this is a mistake.
MAX_DROPS = 1000
OPSETS = (13, 18)
IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
HALVES = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
OPTIM = "train.optim"
LR_CONFIG = "train.train_config.lr_config"
AUGMENTATION = "dataset.augmentation"
TENSORRT = "gen_trt_engine.tensorrt"
# The keys of lr_config in 4.0 to 5.2 that a file does not set.
MMCLS_SCHEDULE: dict[str, Any] = {"min_lr": 1e-3, "warmup": "linear", "warmup_iters": 5, "warmup_by_epoch": True}
# Names of schedules of the old releases in lower case, without `lr` at their end -> their function here.
OLD_SCHEDULES = {
    "cosineannealing": "cosine",
    "cosineannealingcooldown": "cosine",
    "step": "drops",
    "multistep": "drops",
    "fixed": "constant",
    "constant": "constant",
}
# What random crops and colours are, here and there.
CROP_HERE = "here the side of a crop is 0.45 to 1 of the image's, with the same aspect ratio"
COLOR_HERE = "here hue changes by up to 25 degrees, saturation by 0.2 and contrast by 0.1"


def converted_pytorch(parsed: SpecText, arch: str | None) -> str:
    """The text of a spec of secateur for a spec of classification_pyt.

    Comments at the top name each key that is not carried over and each key that means something different. The new
    spec has the file's values, and defaults of classification_pyt that are not secateur's. The encryption key is not
    copied.

    Args:
        parsed: the file.
        arch: the backbone; None: that of the same name, or one of like size.

    Raises:
        SpecError: a value has a wrong type or cannot be used here; the message has file, line and key.
    """
    draft = Draft(File(parsed), era_of(parsed.values))
    _flow(draft, arch)
    _check(draft)
    name = Path(parsed.name).name
    heading = f"Converted from {name}, a spec of classification_pyt ({draft.era})."
    lines = [heading, *draft.remarks, *_not_carried(draft)]
    head = "".join(f"# {_one_line(line)}\n" for line in lines)
    return head + yaml_text(_ordered(draft.values, Spec), draft.comments)


def _ordered(values: dict[str, Any], section: type[BaseModel] | None) -> dict[str, Any]:
    """The values in the order of the fields of a section."""
    if section is None:
        return values
    inner = {name: nested_section(about.annotation) for name, about in section.model_fields.items()}
    return {
        name: _ordered(values[name], inner[name]) if isinstance(values[name], dict) else values[name]
        for name in inner
        if name in values
    }


def _flow(draft: Draft, arch: str | None) -> None:
    """Carry over all keys."""
    _rows(draft, ROWS[draft.era])
    _key(draft)
    _pixels(draft)
    _augment(draft)
    _arch(draft, arch)
    _trainer(draft)
    _optimizer(draft)
    _schedule(draft)
    _wandb(draft)
    _evaluate(draft)
    _export(draft)
    _engine(draft)
    _absent(draft)


class File:
    """Reads typed values of a file, and keeps which of them were read.

    Args:
        parsed: the file.
    """

    def __init__(self, parsed: SpecText) -> None:
        self.parsed = parsed
        self.used: set[str] = set()

    def has(self, path: str) -> bool:
        """Whether the file has a key, also without a value. Raises SpecError as `value`."""
        holder = self._holder(path)
        return isinstance(holder, dict) and path.rpartition(".")[2] in holder

    def _holder(self, path: str) -> Any:
        """The mapping or list that has the last part of a path; None if it is absent."""
        found: Any = self.parsed.values
        parts = path.split(".")
        for index, part in enumerate(parts[:-1]):
            found = found[int(part)] if isinstance(found, list) else found.get(part)
            if found is None or found == "":
                return None
            inside = parts[index + 1]
            if not isinstance(found, dict) and not (isinstance(found, list) and inside.isdigit()):
                raise self.wrong(".".join(parts[: index + 1]), "a section of keys")
        return found

    def value(self, path: str) -> Any:
        """The value at a dotted path, None if it is absent or empty. Raises SpecError if a section is no mapping."""
        holder = self._holder(path)
        name = path.rpartition(".")[2]
        value = holder.get(name) if isinstance(holder, dict) else holder[int(name)] if holder else None
        if value is None or (isinstance(value, str) and not value.strip()):
            return None
        self.used.add(path)
        return value

    def text(self, path: str) -> str | None:
        """A text. Raises SpecError if the value is not one."""
        value = self.value(path)
        if value is not None and (isinstance(value, bool) or not isinstance(value, str | int | float)):
            raise self.wrong(path, "a text")
        return None if value is None else str(value)

    def number(self, path: str) -> float | None:
        """A finite number; TAO's loader also reads `1e-3`, a text in YAML. Raises SpecError for other values."""
        value = self.value(path)
        return None if value is None else self._number(path, value)

    def _number(self, path: str, value: Any) -> float:
        if not isinstance(value, bool) and isinstance(value, str | int | float):
            try:
                found = float(value)
            except (ValueError, OverflowError):
                found = math.nan
            if math.isfinite(found):
                return found
        raise self.wrong(path, "a number")

    def whole(self, path: str) -> int | None:
        """A whole number. Raises SpecError if the value is not one."""
        found = self.number(path)
        if found is not None and not found.is_integer():
            raise self.wrong(path, "a whole number")
        return None if found is None else int(found)

    def flag(self, path: str) -> bool | None:
        """True or False. Raises SpecError for other values."""
        value = self.value(path)
        if value is None or isinstance(value, bool):
            return value
        known = {"true": True, "false": False, "1": True, "0": False}
        if str(value).strip().lower() not in known:
            raise self.wrong(path, "true or false")
        return known[str(value).strip().lower()]

    def numbers(self, path: str) -> list[float] | None:
        """A list of numbers, or one number. Raises SpecError for other values."""
        value = self.value(path)
        if value is None:
            return None
        return [self._number(path, part) for part in (value if isinstance(value, list) else [value])]

    def entries(self, path: str) -> list[str] | None:
        """The paths of the mappings in a list. Raises SpecError if the value is no list of mappings."""
        value = self.value(path)
        if value is None:
            return None
        if not isinstance(value, list):
            raise self.wrong(path, "a list")
        for index, entry in enumerate(value):
            if not isinstance(entry, dict):
                raise self.wrong(f"{path}.{index}", "a section of keys")
        return [f"{path}.{index}" for index in range(len(value))]

    def section(self, path: str) -> Mapping[str, Any] | None:
        """The section at a path; None if it is absent. Raises SpecError if it is something else."""
        value = self.value(path)
        self.used.discard(path)
        if value is not None and not isinstance(value, dict):
            raise self.wrong(path, "a section of keys")
        return value

    def line(self, path: str) -> int | None:
        """The line of a key; of an entry of a list: of its first key."""
        lines = self.parsed.lines
        below = [lines[key] for key in lines if key.startswith(f"{path}.")] if path not in lines else []
        return min(below) if below else self.parsed.line(path)

    def wrong(self, path: str, expected: str) -> SpecError:
        """The error for a value that is not what the key needs."""
        return SpecError(_one_line(f"{self.parsed.at(path)}: {path} must be {expected}"), "correct the value")


@dataclass
class Draft:
    """The new spec.

    Attributes:
        file: the old one.
        era: its release.
        values: nested values.
        comments: path here -> comment behind the key.
        origins: path here -> path in the file.
        remarks: lines for the head.
        told: paths in the file that the remarks name.
        lost: path in the file -> why it is not carried over, where the tables do not say it.
    """

    file: File
    era: Era
    values: dict[str, Any] = field(default_factory=dict)
    comments: dict[str, str] = field(default_factory=dict)
    origins: dict[str, str] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)
    told: set[str] = field(default_factory=set)
    lost: dict[str, str] = field(default_factory=dict)

    @property
    def words(self) -> Words:
        """The paths and defaults of the release."""
        return WORDS[self.era]

    @property
    def is_six(self) -> bool:
        """Whether the file is of TAO 6.x."""
        return self.era is Era.LIGHTNING

    def put(self, target: str, value: Any, source: str) -> None:
        """Set a value. If the file does not set it, and it is also secateur's default, it is left out."""
        given = source in self.file.used
        if not given and value == _own_default(target):
            return
        if isinstance(value, str):
            value = value.replace("${", "\\${")  # references were replaced; what is left is plain text
        *sections, name = target.split(".")
        holder = self.values
        for section in sections:
            holder = holder.setdefault(section, {})
        holder[name] = value
        self.origins[target] = source
        self.comments[target] = source if given else DEFAULT

    def differs(self, path: str, text: str) -> None:
        """Say that a key means something different; the keys below it are then told too."""
        self.remarks.append(f"different: {self.place(path)}: {text}")
        self.told.add(path)

    def lose(self, path: str, reason: str) -> None:
        """Say that a key of the file is not carried over."""
        self.lost[path] = reason

    def place(self, path: str) -> str:
        """A key, its line and its value, for a comment."""
        if not self.file.has(path) and not path.rpartition(".")[2].isdigit():
            return f"{path} (absent)"
        return f"{path} (line {self.file.line(path)}): {_shown(path, _at(self.file.parsed.values, path))}"


def _own_default(target: str) -> Any:
    found: Any = Spec()
    for name in target.split("."):
        found = getattr(found, name, None)
    return found


def _at(values: Any, path: str) -> Any:
    for part in path.split("."):
        values = values[int(part)] if isinstance(values, list) else values[part]
    return values


def _shown(path: str, value: Any) -> str:
    """A value in a comment: short, and never a secret."""
    if SECRET.search(path.rpartition(".")[2]):
        return "***"
    if isinstance(value, dict):
        return f"{len(list(_leaves(value, '')))} keys" if len(value) != 1 else "1 key"
    if isinstance(value, bool) or value is None:
        return str(value).lower()
    text = str(value)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}..."


def _one_line(text: str) -> str:
    """A text without line breaks and control characters, which could end a comment."""
    return "".join(character if character.isprintable() else " " for character in text)


def _rows(draft: Draft, rows: Iterable[Row]) -> None:
    for row in rows:
        read = {"text": draft.file.text, "whole": draft.file.whole, "number": draft.file.number}[row.kind]
        value = read(row.source)
        if value is None:
            value = row.default
        if value is not None:
            draft.put(row.target, value, row.source)


def _key(draft: Draft) -> None:
    """A key in the file is not copied; the variable takes its place."""
    if draft.file.text("encryption_key") is None:
        draft.values["key"] = NO_KEY
        draft.comments["key"] = "models and exports are not encrypted"
        return
    draft.values["key"] = KEY_FROM
    variable = KEY_FROM.removeprefix("env:")
    draft.differs("encryption_key", f"it is not copied: set the variable {variable} to your key")


def _pixels(draft: Draft) -> None:
    """Scaling and size of the network input."""
    section, scale = (AUGMENTATION, 1.0) if draft.is_six else ("dataset.img_norm_cfg", 255.0)
    mean, std = draft.file.numbers(f"{section}.mean"), draft.file.numbers(f"{section}.std")
    shares = tuple(tuple(value / scale for value in part) if part else None for part in (mean, std))
    given = shares[0] or IMAGENET[0], shares[1] or IMAGENET[1]
    mode = "tf" if _near(given, HALVES) else "torch"
    draft.put("data.preprocess_mode", mode, f"{section}.mean")
    if _near(given, IMAGENET):
        draft.differs(f"{section}.std", "torch divides by 0.224 in all channels, not by 0.229, 0.224 and 0.225")
    elif mode == "torch":
        draft.differs(f"{section}.mean", "torch subtracts 0.485, 0.456, 0.406 of 1 and divides by 0.224")
        draft.differs(f"{section}.std", "see the mean")
    if not draft.is_six and draft.file.flag(f"{section}.to_rgb") is False:
        draft.differs(f"{section}.to_rgb", "torch and tf take images in RGB order")
    side = _size_six(draft) if draft.is_six else _size_mm(draft)
    draft.put("model.input_image_size", [3, *side[1]], side[0])


def _near(given: tuple[tuple[float, ...], ...], wanted: tuple[tuple[float, ...], ...]) -> bool:
    return all(
        len(part) == len(other) and all(abs(a - b) < 0.005 for a, b in zip(part, other, strict=True))
        for part, other in zip(given, wanted, strict=True)
    )


# A path in the file and its value.
Side = tuple[str, tuple[int, int]]
Sourced = tuple[str, float]


def _size_six(draft: Draft) -> Side:
    path = "dataset.img_size"
    return path, _sides(draft, path) or (224, 224)


def _sides(draft: Draft, path: str) -> tuple[int, int] | None:
    """Height and width that a number or a list means; -1 for a side means the other one."""
    found = draft.file.numbers(path)
    if found is None:
        return None
    sides = [int(side) for side in found if side > 0 and side.is_integer()]
    if not sides or len(found) > 2:
        raise draft.file.wrong(path, "a size in pixels")
    return sides[0], sides[-1]


def _size_mm(draft: Draft) -> Side:
    """The first size in the file, in the order of the network's input; other sizes are told."""
    found = [*_crop_sizes(draft), *_export_size(draft)]
    if not found:
        return f"{TRAIN}.pipeline", (224, 224)
    for path, sides in found[1:]:
        if sides != found[0][1]:
            draft.differs(path, f"every image has the size of {found[0][0]}")
    return found[0]


TRAIN, TEST = "dataset.data.train", "dataset.data.test"


def _crop_sizes(draft: Draft) -> Iterator[Side]:
    for section, kinds in ((TRAIN, ("randomresizedcrop", "randomcrop", "resize")), (TEST, ("centercrop", "resize"))):
        for kind in kinds:
            for entry in _steps(draft, f"{section}.pipeline", kind):
                for name in ("size", "scale", "crop_size"):
                    sides = _sides(draft, f"{entry}.{name}")
                    if sides and not (kind == "resize" and _steps(draft, f"{section}.pipeline", "centercrop")):
                        yield f"{entry}.{name}", sides


def _export_size(draft: Draft) -> Iterator[Side]:
    height, width = (draft.file.whole(f"export.input_{side}") for side in ("height", "width"))
    if height or width:
        yield f"export.input_{'height' if height else 'width'}", (height or width or 0, width or height or 0)


def _steps(draft: Draft, pipeline: str, kind: str = "") -> list[str]:
    """The paths of the augmentations of a kind in a list; empty for no kind: of all."""
    found = draft.file.entries(pipeline) or []
    return [path for path in found if not kind or _kind(draft, path) == kind]


def _kind(draft: Draft, entry: str) -> str:
    return (draft.file.text(f"{entry}.type") or "").lower()


def _augment(draft: Draft) -> None:
    if draft.is_six:
        _crop_six(draft)
        _flip_six(draft)
        _color_six(draft)
        _mixup_six(draft)
    else:
        _pipelines(draft)
        _mixup_mm(draft)


def _crop_six(draft: Draft) -> None:
    plain, scaled = f"{AUGMENTATION}.with_random_crop", f"{AUGMENTATION}.with_scale_random_crop"
    crops, scales = draft.file.flag(plain), draft.file.flag(f"{scaled}.enable")
    on = crops is not False or scales is not False
    draft.put("augment.enable_random_crop", on, plain if crops is not None else f"{scaled}.enable")
    draft.put("augment.enable_center_crop", False, "")
    if on:
        draft.differs(plain, f"TAO enlarges an image to at most 1.2 of the input and crops; {CROP_HERE}")
    if draft.file.section(scaled):
        draft.differs(scaled, "enable_random_crop stands for both kinds of random crop")


def _flip_six(draft: Draft) -> None:
    section = f"{AUGMENTATION}.random_flip"
    enabled = draft.file.flag(f"{section}.enable")
    share = draft.file.number(f"{section}.hflip_probability")
    on = enabled is not False and share != 0
    source = "enable" if enabled is not None else "hflip_probability"
    draft.put("augment.disable_horizontal_flip", not on, f"{section}.{source}")
    if on and share not in (None, 0.5):
        draft.differs(f"{section}.hflip_probability", "half of the images are flipped")
    if not draft.file.has(f"{section}.vflip_probability") and enabled is not False:
        draft.differs(f"{section}.vflip_probability", "TAO flips half of the images vertically; here none")


def _color_six(draft: Draft) -> None:
    section = f"{AUGMENTATION}.random_color"
    on = draft.file.flag(f"{section}.enable") is not False
    draft.put("augment.enable_color_augmentation", on, f"{section}.enable")
    if on:
        draft.differs(section, f"TAO changes brightness, contrast and saturation; {COLOR_HERE}")
    elif draft.file.section(section):
        draft.lose(section, "colours are not changed")


def _mixup_six(draft: Draft) -> None:
    switch, alpha = f"{AUGMENTATION}.mixup_cutmix", f"{AUGMENTATION}.mixup_alpha"
    if not draft.file.flag(switch):
        draft.put("augment.mixup_alpha", 0.0, switch)
        return
    value = draft.file.number(alpha)
    draft.put("augment.mixup_alpha", 0.4 if value is None else value, alpha)
    draft.differs(switch, "TAO mixes a batch or cuts it (CutMix) at random; here it is always mixed")


def _pipelines(draft: Draft) -> None:
    """The augmentations of training, and the centre crop of the test images."""
    path, test = f"{TRAIN}.pipeline", f"{TEST}.pipeline"
    given = draft.file.value(path) is not None
    kinds = {_kind(draft, entry) for entry in _steps(draft, path)} if given else {"randomresizedcrop", "randomflip"}
    draft.put("augment.enable_random_crop", bool(kinds & {"randomresizedcrop", "randomcrop"}), path)
    draft.put("augment.enable_color_augmentation", "colorjitter" in kinds, path)
    flips = [_flips(draft, entry) for entry in _steps(draft, path, "randomflip")] if given else [True]
    draft.put("augment.disable_horizontal_flip", not any(flips), path)
    crops = draft.file.value(test) is None or bool(_steps(draft, test, "centercrop"))
    draft.put("augment.enable_center_crop", crops, test)
    for entry in [*_steps(draft, path), *_steps(draft, test)]:
        _tell_step(draft, entry)


def _flips(draft: Draft, entry: str) -> bool:
    """Whether an augmentation flips images horizontally; another share than a half is told."""
    shares = [draft.file.number(f"{entry}.{name}") for name in ("prob", "flip_prob")]
    share = next((share for share in shares if share is not None), 0.5)
    direction = draft.file.value(f"{entry}.direction") or "horizontal"
    if "horizontal" not in (direction if isinstance(direction, list) else [direction]):
        draft.lose(entry, "images are only flipped horizontally")
        return False
    if share not in (0, 0.5):
        draft.differs(entry, f"{share:g} of the images are flipped in TAO; here half of them")
    return share > 0


def _tell_step(draft: Draft, entry: str) -> None:
    """Say what an augmentation of a list is here."""
    kind = _kind(draft, entry)
    name = draft.file.text(f"{entry}.type") or "no type"
    if kind in ("randomresizedcrop", "randomcrop"):
        draft.differs(entry, f"{name}: TAO crops 0.08 to 1 of the area and changes the aspect ratio; {CROP_HERE}")
    elif kind == "colorjitter":
        draft.differs(entry, f"{name}: {COLOR_HERE}")
    elif kind == "resize":
        draft.differs(entry, f"{name}: to model.input_image_size, and before a centre crop to 32 pixels more")
    elif kind not in ("randomflip", "centercrop"):
        draft.lose(entry, f"{name}: {STEP_REASONS.get(kind, NO_COUNTERPART)}")


def _mixup_mm(draft: Draft) -> None:
    path = "model.train_cfg.augments"
    value = draft.file.value(path)
    entries = [path] if isinstance(value, dict) else draft.file.entries(path) or []
    mixing = [entry for entry in entries if "mixup" in _kind(draft, entry)]
    for entry in entries:
        if entry not in mixing[:1]:
            draft.lose(entry, f"{draft.file.text(f'{entry}.type') or 'no type'}: only one mixup has a counterpart")
    if not mixing:
        draft.put("augment.mixup_alpha", 0.0, path)
        return
    alpha = draft.file.number(f"{mixing[0]}.alpha")
    draft.put("augment.mixup_alpha", 1.0 if alpha is None else alpha, f"{mixing[0]}.alpha")
    draft.differs(mixing[0], "every batch is mixed")


def _arch(draft: Draft, arch: str | None) -> None:
    """The backbone: the user's, that of the same name, or one of like size."""
    path = "model.backbone.type"
    written = draft.file.text(path) or draft.words.backbone
    chosen = _named(arch) if arch is not None else _namesake(draft, written)
    if chosen is None:
        chosen = next((name for pattern, name in PROPOSALS if re.search(pattern, written, re.IGNORECASE)), SMALL)
        draft.remarks.append(
            f"{path} {_shown(path, written)} has no counterpart; {chosen} is proposed: --arch NAME chooses another"
        )
    elif arch is not None and _namesake(draft, written) != chosen:
        draft.differs(path, f"{chosen} takes its place")
    if _namesake(draft, written) != chosen:
        draft.lose("model.backbone.depth", "it belongs to the PyTorch network")
    draft.put("model.arch", chosen, path)
    if "model.arch" not in draft.origins:
        draft.values.setdefault("model", {})["arch"] = chosen
    if "use_batch_norm" not in FIXED[family_name(chosen)]:
        draft.values["model"]["use_batch_norm"] = True
        draft.comments["model.use_batch_norm"] = "as in PyTorch"


def _named(arch: str) -> str:
    try:
        chosen = canonical_arch(arch)
    except ValueError as error:
        raise SpecError(f"--arch: {error}", "choose one of them") from None
    if chosen == BYOM:
        raise SpecError("--arch byom needs model.byom_model", "convert with a named backbone, then edit the new file")
    return chosen


def _namesake(draft: Draft, written: str) -> str | None:
    """The backbone of the same name; None if there is none."""
    depth = draft.file.whole("model.backbone.depth") if written.strip().lower() == "resnet" else None
    try:
        chosen = canonical_arch(written, depth)
    except ValueError:
        return None
    return None if chosen == BYOM else chosen


def _trainer(draft: Draft) -> None:
    """Workers, seed and the interval of checkpoints."""
    words = draft.words
    workers = draft.file.whole(words.workers)
    if workers == 0:
        draft.differs(words.workers, "TAO loads images in its main process; here 1 thread does")
    draft.put("train.n_workers", words.worker_count if workers is None else workers or 1, words.workers)
    seed = draft.file.whole(words.seed)
    if seed is not None and seed < 0:
        draft.lose(words.seed, "a run is always reproducible; secateur's own seed is used")
    else:
        draft.put("train.random_seed", words.seed_value if seed is None else seed, words.seed)
    if draft.is_six:
        _checkpoints_six(draft)


def _checkpoints_six(draft: Draft) -> None:
    path = "train.checkpoint_interval"
    interval = draft.file.whole(path)
    unit = (draft.file.text(f"{path}_unit") or "epoch").lower()
    if unit != "epoch":
        draft.lose(f"{path}_unit", "checkpoints are counted in epochs; checkpoint_minutes saves within long epochs")
        draft.lose(path, "it is not counted in epochs")
    elif interval is not None:
        draft.put(path, interval, path)


def _epochs(draft: Draft) -> int:
    return int(draft.values["train"]["num_epochs"])


def _optimizer(draft: Draft) -> None:
    words, section = draft.words, _optimizer_section(draft)
    path = f"{section}.{words.kind}"
    written = draft.file.text(path) or words.optimizer
    kind = OPTIMIZERS.get(written.lower(), "adam")
    draft.put("train.optim_config.optimizer", kind, path)
    if written.lower() not in OPTIMIZERS:
        draft.differs(path, "it has no counterpart; adam takes its place")
    elif written.lower() == "adamw":
        draft.differs(path, "adam takes its place, without the weight decay")
    _moments(draft, section, kind, written.lower())
    _decay(draft, f"{section}.weight_decay", written.lower())


def _optimizer_section(draft: Draft) -> str:
    sections = draft.words.optimizers
    return next((section for section in sections if draft.file.has(section)), sections[0])


def _moments(draft: Draft, section: str, kind: str, written: str) -> None:
    """The parameters of the kind of optimizer; others stay unread and are listed."""
    target = "train.optim_config"
    if kind == "sgd":
        momentum = draft.file.number(f"{section}.momentum")
        draft.put(f"{target}.momentum", draft.words.momentum if momentum is None else momentum, f"{section}.momentum")
        if not draft.is_six and draft.file.flag(f"{section}.nesterov"):
            draft.put(f"{target}.nesterov", True, f"{section}.nesterov")
        return
    epsilon = None if draft.is_six else draft.file.number(f"{section}.eps")
    draft.put(f"{target}.epsilon", 1e-8 if epsilon is None else epsilon, f"{section}.eps")
    if kind == "rmsprop":
        rho = draft.file.number(f"{section}.alpha")
        draft.put(f"{target}.rho", 0.99 if rho is None else rho, f"{section}.alpha")
    elif written == "adamw" or not draft.is_six:
        betas = draft.file.numbers(f"{section}.betas")
        if betas is not None and len(betas) != 2:
            raise draft.file.wrong(f"{section}.betas", "two numbers")
        for name, beta in zip(("beta_1", "beta_2"), betas or [], strict=False):
            draft.put(f"{target}.{name}", beta, f"{section}.betas")


def _decay(draft: Draft, path: str, written: str) -> None:
    """Weight decay. A penalty of half the decay has the same gradient, except for AdamW."""
    given = draft.file.number(path)
    decay = draft.words.decay if given is None else given
    if decay < 0:
        raise draft.file.wrong(path, "at least 0")
    if written not in ("sgd", "adam", "rmsprop") or not decay:
        draft.values["train"].setdefault("reg_config", {})["type"] = "none"
        draft.comments["train.reg_config.type"] = "no penalty takes the place of the decay" if decay else "no decay"
        if decay:
            draft.differs(path, f"it is left out: no penalty here acts like the decay {decay:g} of {written}")
        return
    draft.put("train.reg_config.weight_decay", decay / 2, path)
    draft.differs(
        path,
        f"the decay {decay:g} becomes an L2 penalty of {decay / 2:g}, which has the same gradient; "
        "TAO applies it to biases and normalisation too",
    )


def _schedule(draft: Draft) -> None:
    """The learning rate and its course. Here the rate is multiplied by the number of GPUs, in TAO it is not."""
    path = f"{_optimizer_section(draft)}.lr"
    given = draft.file.number(path)
    rate = draft.words.rate if given is None else given
    gpus = int(draft.values["train"].get("gpus", 1))
    if gpus > 1:
        draft.differs(path, f"divided by {gpus}, since secateur multiplies it by train.gpus and TAO does not")
        rate /= gpus
    draft.put("train.lr_config.learning_rate", rate, path)
    if draft.is_six:
        _schedule_six(draft)
    else:
        _schedule_mm(draft, rate * max(gpus, 1))


def _schedule_six(draft: Draft) -> None:
    path, epochs = f"{OPTIM}.policy", _epochs(draft)
    policy = (draft.file.text(path) or "linear").lower()
    if policy in ("step", "multistep"):
        _drops(draft, path, _milestones_six(draft, policy, epochs), f"{OPTIM}.policy_params.gamma")
        return
    if policy != "cosine":
        _cosine(draft, path, (path, 0.0), (path, 0.0))
        draft.differs(path, f"the rate falls to 0 as a cosine, not {policy}")
        return
    warmup = draft.file.number(f"{OPTIM}.warmup_epochs") or 0.0
    _cosine(draft, path, (path, 0.0), (f"{OPTIM}.warmup_epochs", warmup / max(epochs, 1)))


def _milestones_six(draft: Draft, policy: str, epochs: int) -> list[float]:
    section = f"{OPTIM}.policy_params"
    without = draft.file.has(section) and draft.file.section(section) is None
    if policy == "multistep":
        found = draft.file.numbers(f"{section}.milestones")
        return found if found is not None else [epochs // 2] if without else [10, 20]
    step = draft.file.whole(f"{section}.step_size")
    return _multiples(draft, f"{section}.step_size", step or (max(epochs // 4, 1) if without else 30), epochs)


def _multiples(draft: Draft, path: str, step: int, epochs: int) -> list[float]:
    if step < 1 or epochs / step > MAX_DROPS:
        raise draft.file.wrong(path, f"at least 1, with at most {MAX_DROPS} drops")
    return [float(epoch) for epoch in range(step, epochs, step)]


def _cosine(draft: Draft, source: str, ratio: Sourced, warmup: Sourced) -> None:
    section = "train.lr_config"
    draft.put(f"{section}.scheduler", "cosine", source)
    for name, (path, value) in (("soft_start", warmup), ("min_lr_ratio", ratio)):
        draft.put(f"{section}.{name}", _short(min(max(value, 0.0), 1.0)), path)


def _drops(draft: Draft, source: str, milestones: list[float], gamma_path: str) -> None:
    """A constant rate with drops at these epochs."""
    gamma = draft.file.number(gamma_path)
    gamma = 0.1 if gamma is None else gamma
    if not 0 < gamma <= 1:
        raise draft.file.wrong(gamma_path, "above 0 and at most 1")
    epochs, section = _epochs(draft), "train.lr_config"
    points = sorted({_short(epoch / epochs) for epoch in milestones if 0 < epoch < epochs}) if gamma < 1 else []
    draft.put(f"{section}.scheduler", "soft_anneal", source)
    draft.put(f"{section}.soft_start", 0.0, source)
    draft.put(f"{section}.annealing_points", points, source)
    if points:
        draft.put(f"{section}.annealing_divider", _short(1 / gamma), gamma_path)


def _short(number: float) -> float:
    return float(f"{number:.6g}")


def _schedule_mm(draft: Draft, rate: float) -> None:
    path = f"{LR_CONFIG}.policy" if draft.file.has(f"{LR_CONFIG}.policy") else f"{LR_CONFIG}.type"
    written = draft.file.text(path) or "CosineAnnealing"
    course = OLD_SCHEDULES.get(written.lower().removesuffix("lr"))
    if course in ("drops", "constant"):
        _drops(draft, path, _milestones_mm(draft) if course == "drops" else [], f"{LR_CONFIG}.gamma")
        return
    _cosine(draft, path, _last_ratio(draft, rate), (f"{LR_CONFIG}.warmup_iters", _warmup_mm(draft)))
    if course is None or written.lower() == "cosineannealingcooldown":
        draft.differs(path, "the rate falls as a plain cosine over the whole training")


def _milestones_mm(draft: Draft) -> list[float]:
    """The epochs of drops: `step` is a list of them or the distance between them."""
    epochs = _epochs(draft)
    for name in ("step", "milestones"):
        path = f"{LR_CONFIG}.{name}"
        value = draft.file.numbers(path)
        if value is not None and isinstance(draft.file.value(path), list):
            return value
        if value is not None:
            return _multiples(draft, path, draft.file.whole(path) or 0, epochs)
    path = f"{LR_CONFIG}.step_size"
    step = draft.file.whole(path)
    return [] if step is None else _multiples(draft, path, step, epochs)


def _last_ratio(draft: Draft, rate: float) -> Sourced:
    """The last rate divided by the base rate."""
    path = f"{LR_CONFIG}.min_lr_ratio"
    ratio = draft.file.number(path)
    if ratio is None:
        path = f"{LR_CONFIG}.eta_min" if draft.file.has(f"{LR_CONFIG}.eta_min") else f"{LR_CONFIG}.min_lr"
        least = draft.file.number(path)
        if least is None and draft.era is Era.MMCLS:
            least = MMCLS_SCHEDULE["min_lr"]
        ratio = (least or 0.0) / rate if rate > 0 else 0.0
    if ratio > 1:
        draft.differs(path, "the last rate is above the base rate; here it stays at it")
    return path, ratio


def _warmup_mm(draft: Draft) -> float:
    """The share of the training in which the rate rises."""
    kind = _scheduled(draft, "warmup", draft.file.text)
    if not kind:
        return 0.0
    iterations = _scheduled(draft, "warmup_iters", draft.file.number) or 0.0
    if not _scheduled(draft, "warmup_by_epoch", draft.file.flag):
        draft.differs(f"{LR_CONFIG}.warmup_iters", "these are batches, not epochs; there is no warm-up here")
        return 0.0
    if kind != "linear":
        draft.differs(f"{LR_CONFIG}.warmup", "the warm-up is linear")
    return iterations / max(_epochs(draft), 1)


def _scheduled(draft: Draft, name: str, read: Any) -> Any:
    """A key of lr_config, or its default in 4.0 to 5.2."""
    path = f"{LR_CONFIG}.{name}"
    if draft.file.has(path):
        return read(path)
    return MMCLS_SCHEDULE[name] if draft.era is Era.MMCLS else None


def _wandb(draft: Draft) -> None:
    if draft.file.section("wandb") is None or draft.file.flag("wandb.enable") is False:
        return
    draft.values.setdefault("train", {}).setdefault("wandb", {})
    _rows(draft, WANDB_ROWS)
    tags = _texts(draft, "wandb.tags")
    if tags:
        draft.put("train.wandb.tags", tags, "wandb.tags")


def _texts(draft: Draft, path: str) -> list[str]:
    value = draft.file.value(path)
    texts = value if isinstance(value, list) else [] if value is None else [value]
    if not all(isinstance(text, str) for text in texts):
        raise draft.file.wrong(path, "a list of texts")
    return texts


def _evaluate(draft: Draft) -> None:
    """The evaluation, the models of the steps, and the images of inference."""
    topk = draft.file.numbers("model.head.topk")
    several = int(max(topk)) if topk else 1
    own = None if draft.is_six else draft.file.whole("evaluate.topk")
    draft.put("evaluate.top_k", several if own is None else own, "model.head.topk" if own is None else "evaluate.topk")
    if own is not None and draft.file.has("model.head.topk"):
        draft.differs("model.head.topk", "evaluate.topk counts")
    elif topk and len(topk) > 1:
        draft.differs("model.head.topk", f"top-1 and top-{several} are measured")
    if draft.is_six:
        size = draft.file.whole("evaluate.batch_size")
        usual = draft.values["train"].get("batch_size_per_gpu")
        draft.put("evaluate.batch_size", size if size and size > 0 else usual, "evaluate.batch_size")
    for section in ("evaluate", "inference", "export"):
        _model(draft, section)
    if draft.file.section("inference") is not None and "dataset_path" in draft.values.get("evaluate", {}):
        draft.put(
            "inference.image_dir", draft.values["evaluate"]["dataset_path"], draft.origins["evaluate.dataset_path"]
        )


def _model(draft: Draft, section: str) -> None:
    """A step's model: the files of classification_pyt cannot be read here, the words for models of the run can."""
    path = f"{section}.checkpoint"
    value = draft.file.text(path)
    if value is None:
        return
    if split_placeholder(value) is not None:
        draft.put(f"{section}.model_path", value, path)
    else:
        draft.lose(path, OF_THIS_RUN)


def _export(draft: Draft) -> None:
    output = draft.file.text("export.onnx_file")
    if output is not None:
        draft.put("export.output_path", output, "export.onnx_file")
        if output.endswith(".etlt") and draft.values["key"] == NO_KEY:
            raise SpecError(
                f"{draft.file.parsed.at('export.onnx_file')}: export.onnx_file: an .etlt file is encrypted, and the "
                "file has no encryption_key",
                "add encryption_key, or end the name in .onnx",
            )
    path = "export.opset_version"
    opset = draft.file.whole(path)
    least, most = OPSETS
    taken = min(max(draft.words.opset if opset is None else opset, least), most)
    draft.put("export.target_opset", taken, path)
    if opset is not None and taken != opset:
        draft.differs(path, f"{taken} is used: secateur writes {least} to {most}")


def _engine(draft: Draft) -> None:
    if draft.file.section("gen_trt_engine") is None:
        return
    _rows(draft, ENGINE_ROWS)
    if draft.file.text("gen_trt_engine.trt_engine") is None:
        draft.values["gen_trt_engine"] = {}
        draft.comments["gen_trt_engine"] = "asks for an engine"
    _engine_type(draft)
    size = draft.file.number(f"{TENSORRT}.workspace_size")
    if size != 0:
        draft.put("export.max_workspace_size", _short((size or 1024) / 1024), f"{TENSORRT}.workspace_size")
    _largest_batch(draft)
    images = _texts(draft, f"{TENSORRT}.calibration.cal_image_dir")
    if images:
        draft.put("export.cal_image_dir", images, f"{TENSORRT}.calibration.cal_image_dir")


def _engine_type(draft: Draft) -> None:
    path = f"{TENSORRT}.data_type"
    kind = (draft.file.text(path) or "fp32").lower()
    if kind not in ("fp32", "fp16", "int8"):
        draft.lose(path, "an engine is fp32, fp16 or int8")
    elif draft.file.has(path):
        draft.put("export.engine_data_type", kind, path)


def _largest_batch(draft: Draft) -> None:
    """The largest batch of an engine; TAO's default is 1."""
    path = f"{TENSORRT}.max_batch_size"
    export = draft.values.get("export", {})
    least = max(export.get("min_batch_size", 1), export.get("opt_batch_size", 1))
    given = draft.file.whole(path)
    draft.put("export.max_batch_size", least if given is None else given, path)


def _absent(draft: Draft) -> None:
    """Say what classification_pyt does by default, if the file does not say otherwise."""
    for path, text in ABSENT.items() if draft.is_six else ():
        if not draft.file.has(path):
            draft.differs(path, text)


def _leaves(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    """The values of a file with their dotted paths; a list of plain values is one value."""
    if isinstance(value, dict) and value:
        for name, inner in value.items():
            yield from _leaves(inner, f"{path}.{name}" if path else name)
    elif isinstance(value, list) and any(isinstance(part, dict | list) for part in value):
        for index, inner in enumerate(value):
            yield from _leaves(inner, f"{path}.{index}")
    else:
        yield path, value


def _not_carried(draft: Draft) -> Iterator[str]:
    """One line for each key that is not carried over; one for all keys that are off; one for all without a value."""
    off, empty = [], []
    for path, value in _unread(draft):
        place = f"{path} (line {draft.file.line(path)})"
        switch = value.get("enable", value.get("enabled")) if isinstance(value, dict) else value
        if switch is False and path not in ALWAYS_ON:
            off.append(place)
        elif value is None or value in ("", [], {}):
            empty.append(place)
        else:
            yield f"not carried over: {draft.place(path)}: {_reason(draft, path)}"
    for notice in draft.file.parsed.notices:
        empty += [f"{notice.key} (line {draft.file.parsed.line(notice.key)})"] if notice.kind == "missing" else []
    if off:
        yield f"off in the file, without a counterpart here: {', '.join(off)}"
    if empty:
        yield f"without a value: {', '.join(empty)}"


def _unread(draft: Draft) -> Iterator[tuple[str, Any]]:
    """The keys that were neither carried over nor told; a section that is lost as a whole counts as one key."""
    values, seen = draft.file.parsed.values, set()
    for path, value in _leaves(values, ""):
        above = list(_above(path))
        if any(part in draft.told for part in above):
            continue
        whole = next((part for part in above if part in draft.lost or _is_lost_section(values, part)), None)
        if whole is None and path in draft.file.used:
            continue
        key = path if whole is None else whole
        if key not in seen:
            seen.add(key)
            yield key, value if whole is None else _at(values, whole)


def _above(path: str) -> Iterator[str]:
    """The path and the sections above it, the outermost first."""
    parts = path.split(".")
    return (".".join(parts[: count + 1]) for count in range(len(parts)))


def _is_lost_section(values: dict[str, Any], path: str) -> bool:
    return path in WHOLE and bool(_at(values, path))


def _reason(draft: Draft, path: str) -> str:
    """Why a key is not carried over: the entry of the longest path above it."""
    if path in draft.lost:
        return draft.lost[path]
    for part in reversed(list(_above(path))):
        starred = re.sub(r"^(dataset\.data)\.[^.]+", r"\1.*", part)
        if part in REASONS or starred in REASONS:
            return REASONS.get(part) or REASONS[starred]
    return NO_COUNTERPART


def _check(draft: Draft) -> None:
    """Raise SpecError with the line in the old file if a value is not possible here."""
    values = {name: value for name, value in draft.values.items() if name != "key"}
    try:
        Spec.model_validate(values)
    except ValidationError as failure:
        error = failure.errors(include_url=False)[0]
    else:
        return
    target = ".".join(str(part) for part in error["loc"])
    message = error["msg"].removeprefix("Value error, ").replace("Input should be", "must be")
    source = _source(draft, target, message)
    where = draft.file.parsed.at(source) if source else draft.file.parsed.name
    name = f"{source}, here {target}" if source else target
    raise SpecError(_one_line(f"{where}: {name}: {message}"), "correct the value, or convert without the key")


def _source(draft: Draft, target: str, message: str) -> str:
    """The key of the file from which a path here comes, or a path below it, first one that the message names."""
    below = [path for path in draft.origins if path.startswith(f"{target}.")]
    below.sort(key=lambda path: path.rpartition(".")[2] not in message)
    above = [path for path in _above(target) if path in draft.origins]
    return next((draft.origins[path] for path in (*reversed(above), *below)), "")
