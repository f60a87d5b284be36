"""The network's input in a spec of classification_pyt: scaling, size and augmentation."""

from __future__ import annotations

from collections.abc import Iterator

from secateur.spec.pytorch.pytorch_draft import Draft
from secateur.spec.pytorch.pytorch_reasons import NO_COUNTERPART, STEP_REASONS

IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
HALVES = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
AUGMENTATION = "dataset.augmentation"
TRAIN, TEST = "dataset.data.train", "dataset.data.test"
# What random crops and colours are, here and there.
CROP_HERE = "here the side of a crop is 0.45 to 1 of the image's, with the same aspect ratio"
COLOR_HERE = "here hue changes by up to 25 degrees, saturation by 0.2 and contrast by 0.1"
# A path in the file and its value, height and width.
Side = tuple[str, tuple[int, int]]


def carry_pixels(draft: Draft) -> None:
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
    """The first size in the file, in the order of the network's input; a comment names other sizes."""
    found = [*_crop_sizes(draft), *_export_size(draft)]
    if not found:
        return f"{TRAIN}.pipeline", (224, 224)
    for path, sides in found[1:]:
        if sides != found[0][1]:
            draft.differs(path, f"every image has the size of {found[0][0]}")
    return found[0]


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


def carry_augmentation(draft: Draft) -> None:
    """Carry over the augmentation."""
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
    """Whether an augmentation flips images horizontally; a comment names another share than a half."""
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
