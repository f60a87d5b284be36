"""`secateur run`: Snakemake with what it needs of the machine, and with files that it does not take for values."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Any

import shtab

from secateur.errors import ArtifactError, InterruptedRunError
from secateur.runtime.machine import missing_settings, said
from secateur.runtime.supervisor import supervised

HELP = """usage: secateur run [TARGET ...] [SNAKEMAKE OPTIONS] [-- TARGET ...]

run all experiments in config/config.yaml, or the files TARGET, with Snakemake

  secateur run                                    everything, with all cores
  secateur run -n                                 show what would be done
  secateur run results/pets/train/model.tlt       one file, and what it needs
  secateur run --resources gpu=2 --cores 8        all options of Snakemake are passed on
  secateur run -- --help                          Snakemake's own help

Files can stand before the options, after `--`, and after NAME=VALUE. Without --cores and without a profile it takes all
cores; without a Snakefile in this folder, the one beside the package. A user without a name, and folders that cannot be
written (HOME, TMPDIR, caches), are replaced, and this is said. A signal stops the jobs with a checkpoint: exit code 75.
"""
# Where Snakemake looks for it.
SNAKEFILES = ("Snakefile", "snakefile", "workflow/Snakefile", "workflow/snakefile")
CORES = ("--cores", "-c", "--jobs", "-j")
PROFILES = ("--profile", "--workflow-profile")
DIRECTORY = ("--directory", "-d")
SNAKEFILE = ("--snakefile", "-s")
# Options of Snakemake by the words that belong to them. After all others come their words, up to `--`.
NO_WORD = frozenset(
    "-n --dry-run --dryrun -F --forceall -f --force -k --keep-going -p --printshellcmds -t --touch --rerun-incomplete "
    "--ri --unlock --nolock --verbose --nocolor -S --summary -D --detailed-summary --list-rules --list -l "
    "--keep-incomplete --show-failed-logs --notemp --nt --debug-dag --version -v --help -h --delete-all-output".split()
)
ONE_WORD = frozenset(
    "-c --cores -j --jobs --profile --workflow-profile -d --directory -s --snakefile -e --executor -T --retries "
    "--restart-times -w --latency-wait --max-threads --local-cores --conda-prefix".split()
)
ASSIGNMENTS = frozenset(
    "--resources --res --config -C --set-threads --set-resources --set-scatter --set-resource-scopes "
    "--default-resources --default-res --groups --group-components".split()
)


def add_run(commands: Any) -> None:
    """Add the command to `commands`, argparse's subparsers. All its words are kept as they are."""
    text = "run all experiments in config/config.yaml, or the named files, with Snakemake"
    # No word begins with this character: options of Snakemake are not argparse's.
    parser = commands.add_parser("run", help=text, description=text, add_help=False, prefix_chars="\0")
    parser.add_argument("words", nargs=argparse.REMAINDER, metavar="TARGET").complete = shtab.FILE
    parser.set_defaults(command=run_workflow)


def run_workflow(words: Sequence[str], environment: Mapping[str, str]) -> int:
    """Run Snakemake. Returns the exit code: Snakemake's own, or 75 if a signal stopped it.

    Args:
        words: targets and options.
        environment: of this process.

    Raises:
        ArtifactError: there is no Snakefile, or the folder cannot be written.
        InterruptedRunError: a signal stopped the run.
    """
    if words[:1] in (["-h"], ["--help"]):
        print(HELP, end="")
        return 0
    options, targets = separated(words)
    options = [*_defaults(options, environment), *options]
    settings = missing_settings(environment, Path(_last(options, DIRECTORY) or "."))
    if settings:
        print(f"run  {said(settings)}", file=sys.stderr)
    # -P: not the modules of the current folder.
    command = [sys.executable, "-P", "-m", "snakemake", *options, *(["--", *targets] if targets else [])]
    code, signals = supervised(command, {**environment, **settings})
    if code == 0:
        return 0
    stopped = [*signals, *([signal.Signals(-code)] if code < 0 else [])]
    if stopped and stopped[0] != signal.SIGKILL:
        raise InterruptedRunError(f"the run was stopped by {stopped[0].name}", "run the same command again to resume")
    if stopped:
        raise InterruptedRunError("Snakemake was killed", "run `secateur run --unlock`, then the same command again")
    return code


def separated(words: Sequence[str]) -> tuple[list[str], list[str]]:
    """Snakemake's options, each with its words, and the targets."""
    options: list[str] = []
    targets: list[str] = []
    belongs: Callable[[str], bool] = _nothing
    for word in words:
        if word == "--":
            belongs = _nothing
        elif word.startswith("-"):
            options.append(word)
            belongs = _words_of(word)
        elif belongs(word):
            options.append(word)
            belongs = _nothing if options[-2] in ONE_WORD else belongs
        else:
            targets.append(word)
    return options, targets


def _words_of(option: str) -> Callable[[str], bool]:
    """Which of the words after an option belong to it."""
    joined = "=" in option or (not option.startswith("--") and option[:2] in ONE_WORD and len(option) > 2)
    if joined or option in NO_WORD:
        return _nothing
    return (lambda word: "=" in word) if option in ASSIGNMENTS else (lambda word: True)


def _nothing(word: str) -> bool:
    return False


def _defaults(options: Sequence[str], environment: Mapping[str, str]) -> list[str]:
    """Options that the user has not given. A profile has its own number of cores."""
    found = []
    profile = environment.get("SNAKEMAKE_PROFILE") or _last(options, PROFILES)
    if not profile and _last(options, CORES) is None:
        found += ["--cores", "all"]
    if _last(options, SNAKEFILE) is None and not any(map(os.path.isfile, SNAKEFILES)):
        found += ["--snakefile", str(_own_snakefile())]
    return found


def _own_snakefile() -> Path:
    """The Snakefile of the checkout that holds this package."""
    found = Path(__file__).parents[3] / "Snakefile"
    if not found.is_file():
        raise ArtifactError(
            "there is no Snakefile in this folder, and none beside the package",
            "run it in a checkout of secateur, or name its Snakefile with -s",
        )
    return found


def _last(options: Sequence[str], names: Sequence[str]) -> str | None:
    """The value of an option; the last one counts. None if it is not given."""
    found = None
    for word, after in zip_longest(options, options[1:], fillvalue=""):
        for name in names:
            if word == name:
                found = after
            elif word.startswith(f"{name}=") or (not name.startswith("--") and word.startswith(name)):
                found = word.removeprefix(name).removeprefix("=")
    return found
