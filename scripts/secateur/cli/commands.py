"""The commands that are not steps: for specs, models, encrypted files and results."""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from typing import Any

from secateur.errors import SpecError, VaultError
from secateur.runtime.quiet import keras_imported_quietly
from secateur.spec.architectures import canonical_arch
from secateur.spec.tao_releases import CHOICE, CHOSEN
from secateur.storage.atomic import write_text

KEY_FORMS = "env:NAME|file:PATH"
# Flags of TAO's command lines (TF1) -> the key that has their value here.
TAO_FLAGS = {
    ("--results-dir", "-r"): "results_dir",
    ("--gpus",): "train.gpus",
    ("--threshold", "-pth"): "prune.threshold",
    ("--granularity", "-pg"): "prune.granularity",
    ("--min-num-filters", "-nf"): "prune.min_num_filters",
    ("--normalizer", "-n"): "prune.normalizer",
    ("--equalization-criterion", "-eq"): "prune.equalization_criterion",
    ("--excluded-layers", "-el"): "prune.excluded_layers",
    ("--image-dir", "-d"): "inference.image_dir",
    ("--data-type",): "export.data_type",
}


def add_commands(commands: Any) -> None:
    """Add the commands to `commands`, argparse's subparsers."""
    for add in (_add_specs, _add_models, _add_files, _add_results):
        add(commands)


def _command(commands: Any, name: str, action: Any, text: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(name, help=text, description=text)
    parser.set_defaults(command=action)
    return parser


def _add_specs(commands: Any) -> None:
    new = _command(commands, "new", _new, "read a folder of images and write a spec with comments for it")
    new.add_argument(
        "images", metavar="DIR", help="class folders, train/val/test folders, a table, Pascal VOC or an archive"
    )
    new.add_argument("--name", help="name of the experiment; default: the name of the folder")
    new.add_argument(
        "--table-paths",
        choices=("inside", "anywhere"),
        default="inside",
        help="what a table can name: files below its own folder, or all files and hosts",
    )
    check = _command(commands, "check", _check, "validate a spec; print defaults, renamed and ignored keys")
    check.add_argument("spec", metavar="SPEC")
    check.add_argument("overrides", nargs="*", metavar="section.key=value")
    _add_release(check)
    convert = _command(
        commands, "convert", _convert, "convert a spec of any TAO release (TF1 too) to the current key names"
    )
    convert.add_argument(
        "words",
        nargs="+",
        metavar="SPEC|section.key=value",
        help="one file, or all files of an experiment (spec, spec_retrain, ...), and values that replace theirs",
    )
    _add_release(convert)
    convert.add_argument("--arch", help="backbone for a spec of classification_pyt")
    for names, key in TAO_FLAGS.items():
        convert.add_argument(
            *names, nargs="+" if key == "prune.excluded_layers" else None, dest=key, help=f"sets {key}", metavar="VALUE"
        )
    convert.add_argument("--key-env", metavar="NAME", help="sets key: env:NAME")
    convert.add_argument("-o", "--output", metavar="OUT.yaml", help="file to write; default: print the spec")
    dvc = _command(commands, "dvc", _dvc, "print a dvc.yaml for all experiments in config.yaml")
    dvc.add_argument("config", nargs="?", default="config/config.yaml", metavar="CONFIG")


def _add_release(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--tao", choices=CHOSEN, help="the TAO release whose defaults count; default: found by the words of the file"
    )


def _add_models(commands: Any) -> None:
    weights = _command(
        commands, "weights", _weights, "download ImageNet weights from keras.applications for a backbone"
    )
    weights.add_argument("arch", metavar="ARCH")
    weights.add_argument("-o", "--output", metavar="OUT", help="file to write; default: weights/ARCH.weights.h5")
    weights.add_argument("--with-head", action="store_true", help="include the layers for ImageNet's 1000 classes")
    byom = _command(commands, "byom", _byom, "convert your own ONNX model to a .tltb file for model.byom_model")
    byom.add_argument("file", metavar="MODEL.onnx")
    byom.add_argument("-o", "--output", required=True, metavar="MODEL.tltb")
    byom.add_argument("--cut", metavar="NODE", help="node whose output goes into the new head; later nodes are removed")
    byom.add_argument("--key", required=True, metavar=KEY_FORMS)
    explain = _command(commands, "explain", _explain, "classify one image and write a Grad-CAM heat map")
    explain.add_argument("model", metavar="MODEL.tlt")
    explain.add_argument("image", metavar="IMAGE")
    explain.add_argument(
        "-o", "--output", metavar="OUT.png", help="file to write; default: IMAGE.explained.png in this folder"
    )
    explain.add_argument("--of", metavar="CLASS", help="class to explain; default: the most likely class")
    explain.add_argument("--key", required=True, metavar=KEY_FORMS, help="passphrase of the model")
    look = _command(commands, "inspect", _inspect, "print facts about a model file without running anything in it")
    look.add_argument("file", metavar="FILE")
    look.add_argument(
        "against", nargs="*", metavar="OTHER", help="a manifest, model or metrics file to check against FILE"
    )
    look.add_argument("--key", metavar=KEY_FORMS, help="passphrase, if the file is encrypted")
    look.add_argument("--json", action="store_true", help="print all facts as JSON")


def _add_files(commands: Any) -> None:
    for name, text in (("encrypt", "encrypt a file with a passphrase (age v1)"), ("decrypt", "decrypt a file")):
        crypt = _command(commands, name, _crypt, text)
        crypt.add_argument("file", metavar="FILE")
        crypt.add_argument("-o", "--output", required=True, metavar="OUT")
        crypt.add_argument("--key", required=True, metavar=KEY_FORMS)
        crypt.set_defaults(action=name)
    rekey = _command(commands, "rekey", _rekey, "encrypt files with a new passphrase")
    rekey.add_argument("files", metavar="FILE", nargs="+")
    rekey.add_argument("--key", required=True, metavar=KEY_FORMS, help="current passphrase")
    rekey.add_argument("--new-key", required=True, metavar=KEY_FORMS, help="new passphrase")


def _add_results(commands: Any) -> None:
    status = _command(commands, "status", _status, "show the progress of all experiments, live while any runs")
    status.add_argument("config", nargs="?", default="config/config.yaml", metavar="CONFIG")
    status.add_argument("--once", action="store_true", help="print once and exit")
    pick = _command(commands, "pick", _pick, "print the cheapest sweep point within --max-drop")
    pick.add_argument("sweep", metavar="SWEEP", help="name of the sweep in config.yaml, or its pareto.csv")
    pick.add_argument(
        "--max-drop",
        type=float,
        metavar="DROP",
        help="largest loss of top-1 accuracy, 0.01 is one point; default: the sweep's own recommendation",
    )
    pick.add_argument(
        "--by",
        default="macs",
        choices=["macs", "params", "onnx_bytes", "latency_ms"],
        help="cost to compare; default: macs",
    )


def _new(options: Any) -> None:
    from secateur.cli.new_spec import add_to_config, new_spec

    folder = Path()
    name, spec, seen = new_spec(options.images, folder, options.name, os.environ, options.table_paths)
    print(f"{seen}\nwrote {spec}")
    if add_to_config(name, spec, folder):
        print(f"added {name} to config/config.yaml\nnext:")
    else:
        print(f"next:\n  add to config/config.yaml, below experiments:\n      {name}: {spec}")
    print(f"  export SECATEUR_KEY=...           # choose a passphrase\n  secateur check {spec}")
    print("  snakemake --cores all --resources gpu=2" if Path("Snakefile").exists() else "  secateur run")


def _convert(options: Any) -> None:
    from secateur.spec.convert import converted

    specs = [word for word in options.words if "=" not in word or os.path.exists(word)]
    if not specs:
        raise SpecError("no spec file is given", "write, for example, secateur convert spec.yaml")
    options.overrides = [word for word in options.words if word not in specs] + _flags(options)
    text = converted(specs, _of_release(options), options.arch)
    if options.output is None:
        print(text, end="")
        return
    if os.path.exists(options.output):
        raise SpecError(f"{options.output} is there already", "give -o another name")
    write_text(options.output, text)
    print(f"wrote {options.output}", file=sys.stderr)


def _flags(options: Any) -> list[str]:
    """The flags of TAO's command lines as overrides."""
    given = {key: getattr(options, key) for key in TAO_FLAGS.values()}
    swallowed = [word for word in given["prune.excluded_layers"] or () if os.path.exists(word)]
    if swallowed:
        raise SpecError(f"--excluded-layers has the file {swallowed[0]}", "write the spec files before the flags")
    found = [
        f"{key}={json.dumps(value) if isinstance(value, list) else value}" for key, value in given.items() if value
    ]
    return [*found, *([f"key=env:{options.key_env}"] if options.key_env else [])]


def _status(options: Any) -> None:
    from secateur.cli.status import experiments_of, show

    show(experiments_of(options.config), options.once)


def _check(options: Any) -> None:
    from secateur.cli.check_spec import check

    check(options.spec, _of_release(options), sys.stdout)


def _of_release(options: Any) -> list[str]:
    """The overrides of a command with `--tao`."""
    return [*options.overrides, *([f"{CHOICE}={options.tao}"] if options.tao else [])]


def _weights(options: Any) -> None:
    try:
        arch = canonical_arch(options.arch)
    except ValueError as error:
        raise SpecError(str(error), "") from error
    keras_imported_quietly()
    from secateur.zoo.keras_applications import download

    target = options.output or f"weights/{arch}.weights.h5"
    lines = download(arch, target, options.with_head)
    print(f"wrote {target}; add to the spec:")
    for line in lines:
        print(f"  {line}")


def _byom(options: Any) -> None:
    key = _key(options)
    keras_imported_quietly()
    from secateur.cli.byom import byom_step

    byom_step(options.file, options.output, options.cut, key, sys.stderr)


def _pick(options: Any) -> None:
    from secateur.cli.pick import pick

    print(pick(options.sweep, options.max_drop, options.by))


def _dvc(options: Any) -> None:
    from secateur.cli.dvc import pipeline
    from secateur.spec.spec_file import read_spec_text

    print(pipeline(read_spec_text(options.config).values), end="")


def _key(options: Any, option: str = "key") -> str:
    from secateur.vault.keys import resolve_key

    text = getattr(options, option)
    if not text.startswith(("env:", "file:")):
        name = option.replace("_", "-")
        raise VaultError(
            f"--{name} takes env:NAME or file:PATH, not the key itself", "other users can read command lines"
        )
    return resolve_key(text)


def _inspect(options: Any) -> None:
    from secateur.cli.inspect import in_words, inspect

    about = inspect(options.file, _key(options) if options.key else None, options.against)
    print(json.dumps(about, indent=2, ensure_ascii=False) if options.json else in_words(about))


def _explain(options: Any) -> None:
    key = _key(options)
    keras_imported_quietly()
    from secateur.cli.explain import explain

    output = options.output or f"{Path(options.image).stem}.explained.png"
    print(explain(options.model, options.image, key, output, options.of))


def _rekey(options: Any) -> None:
    from secateur.export.bundle.bundle_manifest import refresh_manifest
    from secateur.vault.files import rekey_file, require_key

    key, new_key = _key(options), _key(options, "new_key")
    for file in options.files:
        require_key(file, key)
    for number, file in enumerate(options.files, 1):
        rekey_file(file, key, new_key)
        refresh_manifest(Path(file))
        print(f"rekey  {number} of {len(options.files)}  {file}", file=sys.stderr)


def _crypt(options: Any) -> None:
    from secateur.vault.files import decrypt_file, encrypt_file

    key = _key(options)
    if os.path.realpath(options.file) == os.path.realpath(options.output):
        raise VaultError("the input and the output are the same file", "give -o another name")
    action = encrypt_file if options.action == "encrypt" else decrypt_file
    action(options.file, options.output, key)
