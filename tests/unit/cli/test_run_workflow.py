"""What `secateur run` gives to Snakemake."""

from pathlib import Path

import pytest
from secateur.cli.main import main
from secateur.cli.run_workflow import ASSIGNMENTS, NO_WORD, ONE_WORD, run_workflow, separated
from snakemake.cli import get_argument_parser

WORDS = [
    ("", "", ""),
    ("a b", "", "a b"),
    ("-n", "-n", ""),
    ("a -n", "-n", "a"),
    ("-n a", "-n", "a"),
    ("a -- -n --cores 4", "-n --cores 4", "a"),
    ("--cores 4 -- a", "--cores 4", "a"),
    ("--cores 4 a", "--cores 4", "a"),
    ("-c4 a", "-c4", "a"),
    ("--cores=4 a", "--cores=4", "a"),
    ("--resources gpu=2 a", "--resources gpu=2", "a"),
    ("--resources gpu=2 mem_mb=5 a b -n", "--resources gpu=2 mem_mb=5 -n", "a b"),
    ("--config x=1 a", "--config x=1", "a"),
    ("--set-threads train=2 --retries 3 a", "--set-threads train=2 --retries 3", "a"),
    ("--set-resources train:mem_mb=5 a", "--set-resources train:mem_mb=5", "a"),
    ("--forcerun train split -- a", "--forcerun train split", "a"),
    ("a --until train", "--until train", "a"),
    ("-s S -d D a", "-s S -d D", "a"),
]  # fmt: skip


@pytest.mark.parametrize(("words", "options", "targets"), WORDS)
def test_files_are_no_values_of_options(words, options, targets):
    assert separated(words.split()) == (options.split(), targets.split())


def test_snakemake_reads_the_same():
    """Its own parser, which takes files after an option of several values for values."""
    parser = get_argument_parser()
    for words, options, targets in WORDS:
        read = parser.parse_args([*options.split(), "--", *targets.split()])
        assert list(read.targets) == targets.split(), words
    with pytest.raises(ValueError, match="dictionary update sequence"):
        parser.parse_args("--resources gpu=2 a".split())


def test_the_options_are_those_of_snakemake():
    counts = {name: action.nargs for action in get_argument_parser()._actions for name in action.option_strings}
    assert {counts[name] for name in NO_WORD} == {0}
    assert {counts[name] for name in ONE_WORD} == {None}
    assert {counts[name] for name in ASSIGNMENTS} == {"+", "*"}


@pytest.fixture
def ran(monkeypatch, tmp_path):
    """Runs it in an empty folder; the command that would have been started."""
    from secateur.cli import run_workflow as module

    found = []
    monkeypatch.setattr(module, "supervised", lambda command, environment: (found.append(command), (0, []))[1])
    monkeypatch.chdir(tmp_path)

    def run(words, **environment):
        assert run_workflow(words.split(), {"USER": "x", "HOME": str(tmp_path), **environment}) == 0
        command = found.pop()
        assert command[1:4] == ["-P", "-m", "snakemake"]
        return command[4:]

    return run


def test_all_cores_unless_they_are_given(ran):
    assert ran("-s x -n") == ["--cores", "all", "-s", "x", "-n"]
    for words in ("-s x --cores 2", "-s x -c2", "-s x --cores=2", "-s x -j 4", "-s x --profile profiles/slurm"):
        assert "all" not in ran(words), words
    assert "all" not in ran("-s x", SNAKEMAKE_PROFILE="profiles/slurm")


def test_the_snakefile_of_this_folder_or_of_the_package(ran, tmp_path, repository):
    assert ran("a") == ["--cores", "all", "--snakefile", str(repository / "Snakefile"), "--", "a"]
    (tmp_path / "Snakefile").touch()
    assert ran("a") == ["--cores", "all", "--", "a"]
    assert ran("-s other a") == ["--cores", "all", "-s", "other", "--", "a"]


def test_what_was_changed_is_said(ran, tmp_path, capsys):
    assert ran("-n")
    assert capsys.readouterr().err == ""
    assert ran("-n", HOME="/dev/null", TMPDIR="/nowhere")
    assert capsys.readouterr().err == (
        "run  set for this run, since this machine has nothing usable there: "
        f"TMPDIR=/tmp HOME={tmp_path}/.snakemake/secateur/home\n"
    )


def test_a_folder_that_cannot_be_written(tmp_path, capsys, monkeypatch):
    (tmp_path / "file").touch()
    assert main(["run", "-n", "-d", "/proc/self"]) == 74
    assert "error: /proc/self cannot be written by the user with number" in capsys.readouterr().err


def test_help_is_ours_before_the_options_and_snakemakes_after_them(capsys, ran):
    assert main(["run", "--help"]) == 0
    assert capsys.readouterr().out.startswith("usage: secateur run [TARGET ...]")
    assert ran("-s x -- --help") == ["--cores", "all", "-s", "x", "--help"]


def test_no_snakefile_anywhere(monkeypatch, tmp_path, capsys):
    from secateur.cli import run_workflow as module

    monkeypatch.setattr(module, "__file__", str(Path(tmp_path, "site-packages/secateur/cli/run_workflow.py")))
    monkeypatch.chdir(tmp_path)
    assert main(["run"]) == 74
    assert "error: there is no Snakefile in this folder, and none beside the package\nhint: " in capsys.readouterr().err
