"""The network and its training in a spec of classification_pyt: backbone, trainer, optimizer and weight decay."""

from __future__ import annotations

import re

from secateur.errors import SpecError
from secateur.spec.architectures import BYOM, FIXED, canonical_arch, family_name
from secateur.spec.pytorch.pytorch_draft import Draft, carry_rows, shown, texts_at
from secateur.spec.pytorch.pytorch_tables import OPTIMIZERS, PROPOSALS, SMALL, WANDB_ROWS


def carry_arch(draft: Draft, arch: str | None) -> None:
    """The backbone: the user's, that of the same name, or one of like size."""
    path = "model.backbone.type"
    written = draft.file.text(path) or draft.words.backbone
    chosen = _named(arch) if arch is not None else _namesake(draft, written)
    if chosen is None:
        chosen = next((name for pattern, name in PROPOSALS if re.search(pattern, written, re.IGNORECASE)), SMALL)
        draft.remarks.append(
            f"{path} {shown(path, written)} has no counterpart; {chosen} is proposed: --arch NAME chooses another"
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


def carry_trainer(draft: Draft) -> None:
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


def carry_optimizer(draft: Draft) -> None:
    """Carry over the kind of optimizer, its parameters and the weight decay."""
    words, section = draft.words, optimizer_section(draft)
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


def optimizer_section(draft: Draft) -> str:
    """The section of the optimizer in the file: the first that is there."""
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


def carry_wandb(draft: Draft) -> None:
    """Carry over where curves are sent, if the file has the section and it is not off."""
    if draft.file.section("wandb") is None or draft.file.flag("wandb.enable") is False:
        return
    draft.values.setdefault("train", {}).setdefault("wandb", {})
    carry_rows(draft, WANDB_ROWS)
    tags = texts_at(draft, "wandb.tags")
    if tags:
        draft.put("train.wandb.tags", tags, "wandb.tags")
