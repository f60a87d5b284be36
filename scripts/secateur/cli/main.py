"""The command line `secateur`. The workflow calls the same step functions."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import shtab

from secateur import __version__
from secateur.cli.commands import add_commands
from secateur.cli.run_workflow import add_run, run_workflow
from secateur.errors import InterruptedRunError, SecateurError, SpecError, format_error
from secateur.run import EXTERNAL, Run, run_of
from secateur.runtime.gpu import leased
from secateur.runtime.import_hooks import skip_unused_imports
from secateur.runtime.machine import said, utf8_settings
from secateur.runtime.onednn import use_onednn
from secateur.runtime.quiet import keras_imported_quietly
from secateur.runtime.signals import stoppable
from secateur.runtime.terminal import printable_output
from secateur.spec import load_spec
from secateur.spec.notices import shown_by_steps
from secateur.step_table import STEPS
from secateur.training.hosts import hosts_of, join
from secateur.workflow.job import on_gpus
from secateur.workflow.outputs import export_jobs
from secateur.workflow.resources import gpus_of

# Steps that can run on several hosts together.
TRAININGS = ("train", "retrain")
# Help of the commands that run more than their own step.
COMMAND_HELP = {
    "train": "run split and cache, then train the first model -> train/model.tlt",
    "export": "run calibrate, export, latency and bundle -> export/",
}

# As a shell reports a program that SIGPIPE has ended.
OUTPUT_CLOSED = 128 + signal.SIGPIPE

# What no error of ours describes.
UNEXPECTED = 1
SHOW_TRACEBACK = "SECATEUR_TRACEBACK"
REPORT_IT = f"please report it, with what `{SHOW_TRACEBACK}=1 secateur ...` prints for the same command"

DESCRIPTION = """Train, prune and export a small, fast, encrypted image classifier.

  secateur new photos             write a spec for your images
  secateur run --resources gpu=2  run all experiments in config/config.yaml
  secateur status                 show their progress
"""
EPILOG = """Then open results/index.html. All keys of a spec: config/README.md.
Shell completion: secateur --print-completion bash > ~/.local/share/bash-completion/completions/secateur
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command. Returns the exit code: 0, or a code of docs/errors.md."""
    if arguments is None:
        _start_in_utf8()
    try:
        with printable_output():
            try:
                return _run(arguments)
            finally:
                sys.stdout.flush()
    except BrokenPipeError:
        # The program that reads the output has ended, as `head` does. Python flushes once more when it exits.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return OUTPUT_CLOSED


def _start_in_utf8() -> None:
    """Start the same command line again if this process reads names of files in another encoding."""
    settings = utf8_settings(os.environ)
    if settings and os.environ.get("PYTHONUTF8") != "1":
        print(said(settings), file=sys.stderr, flush=True)
        os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], {**os.environ, **settings})


def _run(arguments: Sequence[str] | None) -> int:
    options = _parser().parse_args(arguments)
    try:
        if options.command == run_workflow:
            return run_workflow(options.words, os.environ)
        _command(options)
    except SecateurError as error:
        print(format_error(error), file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("error: interrupted\nhint: run the same command again to resume", file=sys.stderr)
        return InterruptedRunError.exit_code
    except BrokenPipeError:
        raise
    except Exception as error:
        if os.environ.get(SHOW_TRACEBACK):
            raise
        words = (str(error).splitlines() or [""])[0]
        print(f"error: a fault of secateur: {type(error).__name__}: {words}\nhint: {REPORT_IT}", file=sys.stderr)
        return UNEXPECTED
    return 0


def _command(options: Any) -> None:
    """Run a command in this process."""
    # Without a GPU driver TensorFlow prints several errors about it.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2" if Path("/dev/nvidiactl").exists() else "3")
    use_onednn(os.environ)
    skip_unused_imports()
    # A step leases the GPUs that it needs. Other commands must not use a GPU that a training holds.
    hidden = nullcontext() if options.command is _step else leased(0, os.environ)
    with stoppable(), hidden:
        options.command(options)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="secateur", description=DESCRIPTION, epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    shtab.add_argument_to(parser, ["--print-completion"])
    parser.add_argument("--version", action="version", version=f"secateur {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    add_run(commands)
    for name, entry in STEPS.items():
        text = COMMAND_HELP.get(name, entry.help)
        step = commands.add_parser(name, help=text, description=text, epilog=f"example: secateur {name} -e spec.yaml")
        spec: Any = step.add_argument("-e", "--experiment-spec", dest="spec", required=True, metavar="SPEC")
        spec.complete = shtab.FILE
        step.add_argument(
            "overrides", nargs="*", metavar="section.key=value", help="value that replaces the one in the spec"
        )
        step.set_defaults(command=_step, step=name)
    add_commands(commands)
    return parser


def _step(options: Any) -> None:
    spec = load_spec(options.spec, options.overrides)
    for notice in shown_by_steps(spec.notices):
        print(notice, file=sys.stderr)
    if options.step in ("prune", "retrain") and not spec.prunes:
        raise SpecError(f"the spec has no prune section, so there is nothing to {options.step}", "add `prune:`")
    hosts = hosts_of(os.environ)
    if hosts.count > 1 and options.step not in TRAININGS:
        raise SpecError(
            f"{options.step} cannot run on several hosts ({hosts.count} processes found)",
            "use srun with train and retrain only",
        )
    if hosts.count > 1:
        os.environ.setdefault("KERAS_BACKEND", "jax")
    gpus = -(-gpus_of(spec, options.step) // hosts.count)
    run = run_of(Path(options.spec).stem, spec)
    with on_gpus(run, options.step, gpus, os.environ, sys.stderr) as equipped:
        if options.step != "split":
            keras_imported_quietly()
        for step, wildcards in _jobs(options.step, equipped):
            if step in TRAININGS:
                join(hosts)
            if step in TRAININGS or hosts.first:
                STEPS[step].load()(equipped, sys.stderr, **wildcards)
    _say_other_values(options)


def _say_other_values(options: Any) -> None:
    """Warn that results of other values than the spec's are where the workflow has those of the spec."""
    keys = [override.partition("=")[0] for override in options.overrides]
    if keys and "results_dir" not in keys and Path(".snakemake").is_dir():
        print(
            f"warning: made with other values of {', '.join(keys)} than the spec's; the workflow does not see that: "
            f"`secateur run --forcerun {options.step}` makes it as in the spec",
            file=sys.stderr,
        )


def _jobs(command: str, run: Run) -> list[tuple[str, dict[str, str]]]:
    """The steps that a command runs, each with the wildcards of its rule."""
    if command == "train":
        return [("split", {}), ("cache", {}), ("train", {})]
    if command == "export":
        return list(export_jobs(run.spec))
    if command == "evaluate":
        return [("evaluate", {"stage": _stage(run)})]
    return [(command, {})]


def _stage(run: Run) -> str:
    """The training whose model `evaluate.model_path` names; without a path the last one. Else the model is external."""
    model = run.resolve(run.spec.evaluate.model_path, run.model(run.final_step))
    return next((step for step in run.trainings if run.model(step) == model), EXTERNAL)
