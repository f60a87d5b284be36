"""DVC around the workflow: the real programs, in a git repository of their own."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.conftest import write_class_folders
from tests.programs import programs, run_module
from tests.shared import SMALL
from tests.workflows import PARTS, copied_to

pytestmark = pytest.mark.slow

SPEC = {**yaml.safe_load(SMALL), "evaluate": {"top_k": 2}, "export": {"output_path": "EXPORTDIR/m.onnx"}}
OF_DVC = (".dvc/config", ".dvc/.gitignore", ".dvcignore", ".gitignore")


class Repository:
    """A git repository with the workflow, and the programs as a user calls them."""

    def __init__(self, folder, site):
        self.folder = folder
        path = os.pathsep.join([str(programs()), str(Path(sys.executable).parent), os.environ["PATH"]])
        people = {f"GIT_{who}_{what}": "a@b.c" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
        self.environment = {**os.environ, **people, "PATH": path, "DVC_SITE_CACHE_DIR": str(site)}
        self.environment.pop("PYTHONDONTWRITEBYTECODE", None)

    def __call__(self, words, code=0):
        done = self._run(*words.split())
        assert done.returncode == code, f"{words}\n{done.stdout}\n{done.stderr}"
        return done.stdout + done.stderr

    def _run(self, program, *words):
        if program in ("dvc", "snakemake"):
            return run_module(program, words, self.folder, self.environment)
        command = [program, *words]
        return subprocess.run(
            command, cwd=self.folder, env=self.environment, capture_output=True, text=True, check=False
        )

    def read(self, path):
        return json.loads((self.folder / path).read_text())


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """One experiment on images that DVC keeps. Snakemake runs all of it, so that it knows of every job."""
    folder = tmp_path_factory.mktemp("dvc")
    project = Repository(folder / "project", folder / "site")
    copied_to(project.folder, PARTS + OF_DVC)
    write_class_folders(project.folder / "images")
    specs = project.folder / "config/specs"
    specs.mkdir(parents=True)
    (specs / "one.yaml").write_text(yaml.safe_dump(SPEC, sort_keys=False))
    (project.folder / "config/config.yaml").write_text("experiments:\n  one: config/specs/one.yaml\n")
    project("git init -q -b main")
    project("dvc add -q images")
    (project.folder / "dvc.yaml").write_text(project(f"{sys.executable} -m secateur dvc"))
    project("git add .")
    project("git commit -qm start")
    project("dvc repro")
    project("git add .")
    project("git commit -qm results")
    return project


def test_the_stage_depends_on_everything_that_decides_a_result(project):
    stage = yaml.safe_load((project.folder / "dvc.yaml").read_text())["stages"]["workflow"]
    assert {"Snakefile", "config", "envs", "profiles", "rules", "scripts", "images"} == set(stage["deps"])


def test_repro_again_does_nothing(project):
    assert "up to date" in project("dvc status")
    assert "didn't change, skipping" in project("dvc repro")


def test_metrics_and_curves_are_known(project):
    assert "results/one/evaluate/train/metrics.json" in project("dvc metrics show")
    assert "val_accuracy" in project("dvc plots show --json")


def test_an_experiment_of_dvc_runs_only_what_its_parameter_decides(project):
    started = _steps(project)
    project("dvc exp run -q -S config/specs/one.yaml:evaluate.top_k=1 -n narrow")
    # The exported file is measured by the same figure.
    assert sorted(_steps(project)[len(started) :]) == ["bundle", "evaluate", "export", "latency", "report"]
    assert project.read("results/one/evaluate/train/metrics.json")["k"] == 1
    assert "narrow" in project("dvc exp show --csv --no-pager")
    assert "top_k" in project("dvc metrics diff HEAD")
    assert "evaluate.top_k" in project("dvc params diff HEAD")
    project("git checkout -q config dvc.lock")
    project("dvc checkout -q")
    assert "Nothing to be done" in project("snakemake -n")


def test_a_run_without_dvc_is_committed_afterwards(project):
    spec = project.folder / "config/specs/one.yaml"
    spec.write_text(spec.read_text().replace("top_k: 2", "top_k: 1"))
    project("snakemake --cores 2")
    status = project("dvc status")
    assert "modified:           config" in status
    assert "results" in status
    project("dvc commit -q -f")
    assert "up to date" in project("dvc status")
    project("git commit -qam top-1")


def test_a_clone_that_pulls_has_nothing_to_do(project, tmp_path):
    remote = tmp_path / "remote"
    project(f"dvc remote add -d store {remote}")
    project("git commit -qam remote")
    project("dvc config cache.type reflink,hardlink,copy")
    project("dvc push -q")
    project(f"git clone -q . {tmp_path / 'clone'}")
    clone = Repository(tmp_path / "clone", tmp_path / "site")
    clone("dvc pull -q")
    assert "Nothing to be done" in clone("snakemake -n")
    assert "up to date" in clone("dvc status")
    assert (clone.folder / "results/one/export/m.onnx").is_file()
    project("dvc gc -w --cloud -f -q")
    assert "in sync" in project("dvc status --cloud"), "what is in use stays"


def test_the_committed_pipeline_is_current(repository):
    done = subprocess.run(
        [sys.executable, "-m", "secateur", "dvc"], cwd=repository, capture_output=True, text=True, check=True
    )
    assert (repository / "dvc.yaml").read_text() == done.stdout, "run `secateur dvc > dvc.yaml`"


def test_nobody_is_told_that_it_is_used(repository):
    config = (repository / ".dvc/config").read_text()
    assert "analytics = false" in config
    assert "check_update = false" in config


def _steps(project):
    lines = (project.folder / "results/one/status.json").read_text().splitlines()
    return [line["step"] for line in map(json.loads, lines) if line["status"] == "STARTED"]
