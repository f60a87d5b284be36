"""The command line: `python -m secateur`. Each step is the function that the workflow calls too."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import shtab

from secateur import __version__
from secateur.cli.commands import add_commands
from secateur.errors import InterruptedRunError, SecateurError, SpecError, format_error
from secateur.run import Run, run_of
from secateur.runtime.gpu import leased
from secateur.runtime.import_hooks import skip_unused_imports
from secateur.runtime.onednn import use_onednn
from secateur.runtime.quiet import keras_imported_quietly
from secateur.runtime.signals import stoppable
from secateur.spec import load_spec
from secateur.training.hosts import hosts_of, join
from secateur.workflow.inputs import gpus_of
from secateur.workflow.job import on_gpus

# Steps that several hosts can do together.
TRAININGS = ("train", "retrain")
STEP_HELP = {
    "split": "folders of images -> split/manifest.csv, classmap.json, report.json",
    "cache": "decoded images in files, where they fit -> work/cache/, cache/packs.json",
    "train": "split, cache, then the first training -> train/model.tlt",
    "prune": "remove weak channels -> prune/model.tlt",
    "retrain": "train the pruned network -> retrain/model.tlt",
    "evaluate": "accuracy and confusion of a model -> evaluate/<model>/",
    "inference": "labels for a folder of images -> inference/result.csv",
    "export": "ONNX, plain or encrypted, with its bundle -> export/",
    "engine": "a TensorRT engine of the exported model -> engine/",
    "report": "everything that the run has written, on one page -> report.html",
}

DESCRIPTION = """Labelled images to a small, fast, encrypted classifier.

  secateur new photos                       a spec for your images, which you can edit
  snakemake --cores all --resources gpu=2   everything that config/config.yaml lists
  secateur status                           how far it is
"""
EPILOG = """Then look into results/index.html. Every key of a spec: config/README.md.
Completion for your shell: secateur --print-completion bash > ~/.local/share/bash-completion/completions/secateur
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code (0, or the error's as in docs/errors.md)."""
    options = _parser().parse_args(arguments)
    # Without a GPU driver TensorFlow reports its absence as an error, several times.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2" if Path("/dev/nvidiactl").exists() else "3")
    use_onednn(os.environ)
    skip_unused_imports()
    # A step takes the GPUs that it needs; no other command may take one from a training.
    hidden = nullcontext() if options.command is _step else leased(0, os.environ)
    try:
        with stoppable(), hidden:
            options.command(options)
    except SecateurError as error:
        print(format_error(error), file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("error: interrupted\nhint: run the same command again to go on", file=sys.stderr)
        return InterruptedRunError.exit_code
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="secateur", description=DESCRIPTION, epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    shtab.add_argument_to(parser, ["--print-completion"])
    parser.add_argument("--version", action="version", version=f"secateur {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for name, text in STEP_HELP.items():
        step = commands.add_parser(name, help=text, description=text, epilog=f"example: secateur {name} -e spec.yaml")
        spec: Any = step.add_argument("-e", "--experiment-spec", dest="spec", required=True, metavar="SPEC")
        spec.complete = shtab.FILE
        step.add_argument("overrides", nargs="*", metavar="section.key=value", help="replaces what the spec says")
        step.set_defaults(command=_step, step=name)
    add_commands(commands)
    return parser


def _step(options: Any) -> None:
    spec = load_spec(options.spec, options.overrides)
    for notice in spec.notices:
        if notice.kind == "warning":
            print(notice, file=sys.stderr)
    run = run_of(Path(options.spec).stem, spec)
    hosts = hosts_of(os.environ)
    if hosts.count > 1 and options.step not in TRAININGS:
        raise SpecError(f"{options.step} runs in one process, not in {hosts.count}", "start only train and retrain so")
    if hosts.count > 1:
        os.environ.setdefault("KERAS_BACKEND", "jax")
    gpus = -(-gpus_of(spec, options.step) // hosts.count)
    with on_gpus(run, options.step, gpus, os.environ, sys.stderr) as equipped:
        if options.step != "split":
            keras_imported_quietly()
        STEPS[options.step](equipped)


def _split(run: Run) -> None:
    from secateur.steps.split import split_step

    split_step(run, sys.stderr)


def _cache(run: Run) -> None:
    from secateur.steps.cache import cache_step

    cache_step(run, sys.stderr)


def _train(run: Run) -> None:
    from secateur.steps.cache import cache_step
    from secateur.steps.split import split_step
    from secateur.steps.train import train

    hosts = hosts_of(os.environ)
    if hosts.first:
        split_step(run, sys.stderr)
        cache_step(run, sys.stderr)
    join(hosts)
    train(run, sys.stderr)


def _prune(run: Run) -> None:
    from secateur.steps.prune import prune_step

    prune_step(run, sys.stderr)


def _retrain(run: Run) -> None:
    from secateur.steps.train import retrain

    if not run.spec.prunes:
        raise SpecError("the spec has no prune section, so there is nothing to retrain", "add `prune:`")
    join(hosts_of(os.environ))
    retrain(run, sys.stderr)


def _evaluate(run: Run) -> None:
    from secateur.steps.evaluate import evaluate

    model = run.resolve(run.spec.evaluate.model_path, run.model(run.final_step))
    stage = next((step for step in ("train", "retrain") if run.model(step) == model), "given")
    evaluate(run, stage, model, sys.stderr)


def _inference(run: Run) -> None:
    from secateur.steps.inference import inference

    inference(run, sys.stderr)


def _export(run: Run) -> None:
    from secateur.export.exported_files import calibrates, exported_files
    from secateur.steps.bundle import bundle
    from secateur.steps.calibrate import calibrate
    from secateur.steps.export import export
    from secateur.steps.latency import measure_latency
    from secateur.steps.web import web

    if calibrates(run.spec):
        calibrate(run, sys.stderr)
    for file in exported_files(run.spec):
        export(run, file.name, sys.stderr)
    if "web" in run.spec.export.targets:
        web(run, sys.stderr)
    measure_latency(run, sys.stderr)
    bundle(run, sys.stderr)


def _engine(run: Run) -> None:
    from secateur.steps.engine import build_engine

    build_engine(run, sys.stderr)


def _report(run: Run) -> None:
    from secateur.steps.report import report

    report(run, sys.stderr)


STEPS = {
    "split": _split,
    "cache": _cache,
    "train": _train,
    "prune": _prune,
    "retrain": _retrain,
    "evaluate": _evaluate,
    "inference": _inference,
    "export": _export,
    "engine": _engine,
    "report": _report,
}
