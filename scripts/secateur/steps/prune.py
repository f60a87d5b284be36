"""The prune step: it writes a narrower copy of a trained model, and a report."""

from __future__ import annotations

from typing import IO, Any

import keras
import pandas as pd

from secateur.data.classes import read_classmap
from secateur.errors import SpecError
from secateur.evaluation.latency_figures import BUSY
from secateur.models.file import load_model, save_model
from secateur.pruning.prune_report import PruneReport
from secateur.pruning.pruner import prune
from secateur.pruning.stepwise import ShortTraining, Stepwise
from secateur.report.pruning_page import page
from secateur.run import Run
from secateur.spec import PruneSpec, TrainSpec
from secateur.steps.context import step_context
from secateur.steps.fitted_model import fitted_model
from secateur.steps.identity import pruning_identity
from secateur.steps.model_card import link
from secateur.steps.pruning_images import pruning_images
from secateur.steps.run_manifest import manifest_of
from secateur.steps.trainer import teacher_of, trainer_of
from secateur.storage.atomic import write_json, write_text
from secateur.training.checkpoints import Checkpoints
from secateur.training.overrides import configured


def prune_step(run: Run, stream: IO[str]) -> dict[str, Any]:
    """Write `prune/model.tlt`, `report.json` and `report.html`, and `prune.output_path` if it is set.

    Returns:
        The report.

    Raises:
        SecateurError: the model cannot be read or pruned, or a file cannot be written.
    """
    section = run.spec.prune
    if section is None:
        raise SpecError("the spec has no prune section", "add `prune:` with its threshold")
    with step_context(run, "prune") as status:
        model, card = _unpruned(run, section, stream)
        narrow, result, steps = _pruned(run, section, model, stream)
        report = {**_asked(section), **result.as_json()}
        own = link(run, "prune", parent_sha256=card["sha256"])
        # Ranges of activations are not valid after a cut.
        kept = {name: value for name, value in card.items() if name != "quantization"}
        card = {**kept, "pruned": True, "step": "prune", "provenance": [*card.get("provenance", []), own]}
        write_json(run.file("prune", "report"), report)
        write_text(run.file("prune", "page"), page(result, in_words(section)))
        save_model(narrow, run.model("prune"), run.key, card)
        if section.output_path:
            save_model(narrow, run.resolve(section.output_path, run.model("prune")), run.key, card)
        if steps is not None:
            steps.forget()
            Checkpoints(run.work / "prune", run.key).forget()
        kpi = {
            "pruning_ratio": report["params_kept_ratio"],
            "param_count": result.after.params,
            "size": (run.model("prune")).stat().st_size / (1 << 20),
        }
        status.write("RUNNING", "pruning_ratio is the share of parameters that is kept", kpi=kpi)
    print(
        f"prune  {in_words(section)}: kept {report['macs_kept_ratio']:.1%} of the MACs and "
        f"{report['params_kept_ratio']:.1%} of {result.before.params:,} parameters",
        file=stream,
        flush=True,
    )
    _warn(result, stream)
    _hint(section, result, stream)
    return report


def _unpruned(run: Run, section: PruneSpec, stream: IO[str]) -> tuple[keras.Model, dict[str, Any]]:
    """The model to prune, and its card. It must fit the run if images of the run judge it."""
    if not section.needs_images:
        return load_model(run.model_to_prune, run.key)
    fitted = fitted_model(run, run.model_to_prune, "prune", stream, same_input=True)
    named = {"classes": fitted.classes} if fitted.card.get("classes") else {}
    return fitted.model, {**fitted.card, **named}


def in_words(section: PruneSpec) -> str:
    """The goal of the section, on one line."""
    goal = section.budget or "threshold"
    words = f"{goal} {getattr(section, goal):g}, importance {section.importance}, ranking {section.ranking}"
    if goal == "target_latency_ms":
        words += f", {section.latency_threads} threads, batch {section.latency_batch}"
    if section.steps > 1:
        words += f", {section.steps} steps" + ("" if section.trains else " without training")
    return words


def _asked(section: PruneSpec) -> dict[str, Any]:
    names = ("equalization_criterion", "normalizer", "importance", "ranking", "granularity", "min_num_filters")
    return {name: getattr(section, name) for name in (*names, "steps", "step_epochs")}


def _pruned(
    run: Run, section: PruneSpec, model: keras.Model, stream: IO[str]
) -> tuple[keras.Model, PruneReport, Stepwise | None]:
    manifest = manifest_of(run) if section.needs_images else None
    identity = _identity(run, section, manifest) if section.steps > 1 else {}
    images, train = None, None
    if manifest is not None:
        classes = read_classmap(run.classmap)
        images = pruning_images(run, section, manifest, classes)
        if section.trains:
            train = _short_training(run, section, manifest, classes, identity, stream)
    if section.steps == 1:
        return *prune(model, section, images), None
    steps = Stepwise(model, section, images, _announced(train, section, stream), run.work / "prune", run.key, identity)
    return *steps.run(), steps


def _announced(train: ShortTraining | None, section: PruneSpec, stream: IO[str]) -> ShortTraining:
    def after_cut(narrow: keras.Model, step: int) -> keras.Model:
        what = "training" if train else "measuring importance again"
        print(f"prune  cut {step} of {section.steps} done, {what}", file=stream, flush=True)
        return train(narrow, step) if train else narrow

    return after_cut


def _short_training(
    run: Run,
    section: PruneSpec,
    manifest: pd.DataFrame,
    classes: list[str],
    identity: dict[str, Any],
    stream: IO[str],
) -> ShortTraining:
    short = _short(run, section)
    teacher = teacher_of(run, short, "prune", stream)

    def train(narrow: keras.Model, step: int) -> keras.Model:
        keras.utils.set_random_seed(short.random_seed)
        trainer = trainer_of(
            run,
            f"prune.{step}",
            short,
            configured(narrow, short),
            manifest,
            classes,
            stream=stream,
            checkpoints=Checkpoints(run.work / "prune", run.key, {**identity, "cut": step}),
            teacher=teacher,
        )
        trainer.finish(trainer.run())
        return trainer.model

    return train


def _identity(run: Run, section: PruneSpec, manifest: pd.DataFrame | None) -> dict[str, Any]:
    return pruning_identity(run, section, _short(run, section) if section.trains else None, manifest)


def _short(run: Run, section: PruneSpec) -> TrainSpec:
    return (run.spec.retrain or run.spec.train).model_copy(update={"num_epochs": section.step_epochs})


def _warn(result: PruneReport, stream: IO[str]) -> None:
    if result.reached and result.reached.busy:
        print(
            f"warning: prune: the latency was {BUSY}, so the network can be smaller than {result.reached.key} asks; "
            "prune again on a quiet machine",
            file=stream,
            flush=True,
        )


def _hint(section: PruneSpec, result: PruneReport, stream: IO[str]) -> None:
    if result.before != result.after:
        return
    if section.budget:
        print("hint: nothing was removed: the model meets the target without pruning", file=stream, flush=True)
        return
    weakest = min((group.smallest for group in result.groups if not group.kept_whole_because), default=0.0)
    print(
        f"hint: nothing was removed: the least important channel has {weakest:.2f}; raise prune.threshold, or set a "
        "target such as prune.target_macs: 0.5",
        file=stream,
        flush=True,
    )
