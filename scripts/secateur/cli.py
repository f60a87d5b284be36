"""The command line: `python -m secateur`. Each step is the function that the workflow calls too."""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
import warnings
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import yaml

from secateur import __version__
from secateur.errors import InterruptedRunError, SecateurError, SpecError, VaultError, format_error
from secateur.gpu import gpus_of, leased, on_gpus
from secateur.run import Run, run_of
from secateur.signals import stoppable
from secateur.spec import Spec, load_spec
from secateur.spec.architectures import canonical_arch
from secateur.terminal import silenced
from secateur.training.hosts import hosts_of, join

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
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code (0, or the error's as in docs/errors.md)."""
    options = _parser().parse_args(arguments)
    # Without a GPU driver TensorFlow reports its absence as an error, several times.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2" if Path("/dev/nvidiactl").exists() else "3")
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
        prog="secateur",
        description="Labelled images to a pruned, encrypted classifier. The whole chain at once: snakemake --cores all",
    )
    parser.add_argument("--version", action="version", version=f"secateur {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    check = commands.add_parser("check", help="read a spec; print what it means, what was renamed, what has no effect")
    check.add_argument("spec", metavar="SPEC")
    check.add_argument("overrides", nargs="*", metavar="section.key=value")
    check.set_defaults(command=_check)
    for name, text in STEP_HELP.items():
        step = commands.add_parser(name, help=text)
        step.add_argument("-e", "--experiment-spec", dest="spec", required=True, metavar="SPEC")
        step.add_argument("overrides", nargs="*", metavar="section.key=value")
        step.set_defaults(command=_step, step=name)
    weights = commands.add_parser("weights", help="download keras.applications' ImageNet weights of a backbone")
    weights.add_argument("arch", metavar="ARCH")
    weights.add_argument("-o", "--output", metavar="OUT", help="default: weights/ARCH.weights.h5")
    weights.add_argument("--with-head", action="store_true", help="also the layers for ImageNet's 1000 classes")
    weights.set_defaults(command=_weights)
    byom = commands.add_parser("byom", help="bring your own model: an ONNX file -> .tltb for model.byom_model")
    byom.add_argument("file", metavar="MODEL.onnx")
    byom.add_argument("-o", "--output", required=True, metavar="MODEL.tltb")
    byom.add_argument("--cut", metavar="NODE", help="node whose output feeds the new head; all behind it is left out")
    byom.add_argument("--key", required=True, metavar="env:NAME|file:PATH")
    byom.set_defaults(command=_byom)
    pick = commands.add_parser("pick", help="the point of a finished sweep that costs least within a drop of accuracy")
    pick.add_argument("sweep", metavar="SWEEP", help="its name in config.yaml, or its front.csv")
    pick.add_argument(
        "--max-drop",
        type=float,
        metavar="DROP",
        help="top-1 to lose, 0.01 is one point; default: what the sweep itself recommends",
    )
    pick.add_argument(
        "--by", default="macs", choices=["macs", "params", "onnx_bytes", "latency_ms"], help="cost (macs)"
    )
    pick.set_defaults(command=_pick)
    for name, text in (("encrypt", "seal a file as age v1 with a pass phrase"), ("decrypt", "open a sealed file")):
        crypt = commands.add_parser(name, help=text)
        crypt.add_argument("file", metavar="FILE")
        crypt.add_argument("-o", "--output", required=True, metavar="OUT")
        crypt.add_argument("--key", required=True, metavar="env:NAME|file:PATH")
        crypt.set_defaults(command=_crypt, action=name)
    look = commands.add_parser("inspect", help="what a model file is, told without trusting it")
    look.add_argument("file", metavar="FILE")
    look.add_argument("against", nargs="*", metavar="OTHER", help="manifest, model or metrics that must belong to it")
    look.add_argument("--key", metavar="env:NAME|file:PATH", help="opens a sealed file")
    look.add_argument("--json", action="store_true", help="everything, for programs")
    look.set_defaults(command=_inspect)
    rekey = commands.add_parser("rekey", help="seal files under another pass phrase")
    rekey.add_argument("files", metavar="FILE", nargs="+")
    rekey.add_argument("--key", required=True, metavar="env:NAME|file:PATH", help="that they are sealed with")
    rekey.add_argument("--new-key", required=True, metavar="env:NAME|file:PATH")
    rekey.set_defaults(command=_rekey)
    dvc = commands.add_parser("dvc", help="print dvc.yaml for the experiments of a configuration")
    dvc.add_argument("config", nargs="?", default="config/config.yaml", metavar="CONFIG")
    dvc.set_defaults(command=_dvc)
    return parser


def _check(options: Any) -> None:
    spec = load_spec(options.spec, options.overrides)
    print(effective(spec), end="")
    for notice in spec.notices:
        print(f"# {notice}")


def effective(spec: Spec) -> str:
    """The spec with every default filled in, as YAML; the key is not shown."""
    values = spec.model_dump(mode="json", exclude_none=True, exclude={"key"})
    shown = {"results_dir": values.pop("results_dir", None), "key": "(set)" if spec.key else "(missing)", **values}
    return yaml.safe_dump({name: value for name, value in shown.items() if value is not None}, sort_keys=False)


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
            _import_keras_quietly()
        STEPS[options.step](equipped)


def _import_keras_quietly() -> None:
    """TensorFlow logs about its build while it is imported, before any of its own settings can stop it."""
    with silenced():
        import keras  # noqa: F401
    # Remarks about TensorFlow's own machinery, which no user of a command can act upon.
    for name in ("tensorflow", "absl"):
        logging.getLogger(name).setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="tensorflow")


def _split(run: Run) -> None:
    from secateur.data.step import split_step

    split_step(run, sys.stderr)


def _cache(run: Run) -> None:
    from secateur.data.cache import cache_step

    cache_step(run, sys.stderr)


def _train(run: Run) -> None:
    from secateur.data.cache import cache_step
    from secateur.data.step import split_step
    from secateur.training.step import train

    hosts = hosts_of(os.environ)
    if hosts.first:
        split_step(run, sys.stderr)
        cache_step(run, sys.stderr)
    join(hosts)
    train(run, sys.stderr)


def _prune(run: Run) -> None:
    from secateur.pruning.step import prune_step

    prune_step(run, sys.stderr)


def _retrain(run: Run) -> None:
    from secateur.training.step import retrain

    if not run.spec.prunes:
        raise SpecError("the spec has no prune section, so there is nothing to retrain", "add `prune:`")
    join(hosts_of(os.environ))
    retrain(run, sys.stderr)


def _evaluate(run: Run) -> None:
    from secateur.evaluation.evaluate import evaluate

    model = run.resolve(run.spec.evaluate.model_path, run.model(run.final_step))
    stage = next((step for step in ("train", "retrain") if run.model(step) == model), "given")
    evaluate(run, stage, model, sys.stderr)


def _inference(run: Run) -> None:
    from secateur.evaluation.inference import inference

    inference(run, sys.stderr)


def _export(run: Run) -> None:
    from secateur.export.bundle.step import bundle
    from secateur.export.calibration import calibrate
    from secateur.export.latency_step import measure_latency
    from secateur.export.step import export
    from secateur.export.web.step import web
    from secateur.run import calibrates, exported_files

    if calibrates(run.spec):
        calibrate(run, sys.stderr)
    for file in exported_files(run.spec):
        export(run, file.name, sys.stderr)
    if "web" in run.spec.export.targets:
        web(run, sys.stderr)
    measure_latency(run, sys.stderr)
    bundle(run, sys.stderr)


def _engine(run: Run) -> None:
    from secateur.export.engine import build_engine

    build_engine(run, sys.stderr)


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
}


def _weights(options: Any) -> None:
    try:
        arch = canonical_arch(options.arch)
    except ValueError as error:
        raise SpecError(str(error), "") from error
    _import_keras_quietly()
    from secateur.zoo.keras_applications import download

    target = options.output or f"weights/{arch}.weights.h5"
    lines = download(arch, target, options.with_head)
    print(f"wrote {target}; write into the spec:")
    for line in lines:
        print(f"  {line}")


def _byom(options: Any) -> None:
    key = _key(options)
    _import_keras_quietly()
    from secateur.byom.step import byom_step

    byom_step(options.file, options.output, options.cut, key, sys.stderr)


def _pick(options: Any) -> None:
    from secateur.front import pick

    print(pick(options.sweep, options.max_drop, options.by))


def _dvc(options: Any) -> None:
    from secateur.dvc import pipeline
    from secateur.spec.source import read_source

    print(pipeline(read_source(options.config).values), end="")


def _key(options: Any, option: str = "key") -> str:
    from secateur.secrets import resolve_key

    text = getattr(options, option)
    if not text.startswith(("env:", "file:")):
        name = option.replace("_", "-")
        raise VaultError(f"--{name} takes env:NAME or file:PATH, not the key itself", "others can read command lines")
    return resolve_key(text)


def _inspect(options: Any) -> None:
    from secateur.inspection import in_words, inspect

    about = inspect(options.file, _key(options) if options.key else None, options.against)
    print(json.dumps(about, indent=2, ensure_ascii=False) if options.json else in_words(about))


def _rekey(options: Any) -> None:
    from secateur.export.bundle.manifest import refresh_manifest
    from secateur.sealed import rekey_file, require_key

    key, new_key = _key(options), _key(options, "new_key")
    for file in options.files:
        require_key(file, key)
    for number, file in enumerate(options.files, 1):
        rekey_file(file, key, new_key)
        refresh_manifest(Path(file))
        print(f"rekey  {number} of {len(options.files)}  {file}", file=sys.stderr)


def _crypt(options: Any) -> None:
    from secateur.sealed import open_file, seal_file

    key = _key(options)
    if os.path.realpath(options.file) == os.path.realpath(options.output):
        raise VaultError("the input and the output are the same file", "give -o another name")
    action = seal_file if options.action == "encrypt" else open_file
    action(options.file, options.output, key)
