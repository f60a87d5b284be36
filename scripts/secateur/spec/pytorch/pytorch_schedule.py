"""The learning rate and its course in a spec of classification_pyt."""

from __future__ import annotations

from typing import Any

from secateur.spec.pytorch.pytorch_draft import Draft, short
from secateur.spec.pytorch.pytorch_forms import Era
from secateur.spec.pytorch.pytorch_training import optimizer_section

# A schedule with more drops than this is a mistake.
MAX_DROPS = 1000
OPTIM = "train.optim"
LR_CONFIG = "train.train_config.lr_config"
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
# A path in the file and its value.
Sourced = tuple[str, float]


def carry_schedule(draft: Draft) -> None:
    """The learning rate and its course. Here the rate is multiplied by the number of GPUs, in TAO it is not."""
    path = f"{optimizer_section(draft)}.lr"
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
        draft.put(f"{section}.{name}", short(min(max(value, 0.0), 1.0)), path)


def _drops(draft: Draft, source: str, milestones: list[float], gamma_path: str) -> None:
    """A constant rate with drops at these epochs."""
    gamma = draft.file.number(gamma_path)
    gamma = 0.1 if gamma is None else gamma
    if not 0 < gamma <= 1:
        raise draft.file.wrong(gamma_path, "above 0 and at most 1")
    epochs, section = _epochs(draft), "train.lr_config"
    points = sorted({short(epoch / epochs) for epoch in milestones if 0 < epoch < epochs}) if gamma < 1 else []
    draft.put(f"{section}.scheduler", "soft_anneal", source)
    draft.put(f"{section}.soft_start", 0.0, source)
    draft.put(f"{section}.annealing_points", points, source)
    if points:
        draft.put(f"{section}.annealing_divider", short(1 / gamma), gamma_path)


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


def _epochs(draft: Draft) -> int:
    return int(draft.values["train"]["num_epochs"])
