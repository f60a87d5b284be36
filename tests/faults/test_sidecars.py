"""The files of a finished run, damaged: each reader says which file it is and what makes it again."""

import io
import json
import os
import random
import shutil

import pytest
from secateur.cli.main import main
from secateur.cli.status import progress_of
from secateur.errors import ArtifactError, DataError, SecateurError
from secateur.report.page import render
from secateur.run import run_of
from secateur.spec import load_spec
from secateur.steps.bundle import bundle
from secateur.steps.index import experiment
from secateur.steps.run_facts import read_facts
from secateur.steps.run_files import read_run_json
from secateur.steps.run_manifest import manifest_of

from tests.faults.damaged_results import damages
from tests.shared import copied, made_once

SECTIONS = """
prune: {target_macs: 0.5}
retrain: {num_epochs: 1, batch_size_per_gpu: 4}
export: {output_path: EXPORTDIR/m.onnx}
"""
FILES = (
    "split/manifest.csv",
    "split/classmap.json",
    "split/report.json",
    "train/history.csv",
    "train/metrics.json",
    "retrain/metrics.json",
    "prune/report.json",
    "evaluate/train/metrics.json",
    "evaluate/retrain/metrics.json",
    "evaluate/retrain/predictions.csv",
    "evaluate/retrain/confusion.csv",
    "export/latency.json",
    "export/m.onnx.parity.json",
    "status.json",
)
TRIED_OF_A_FILE = 20  # bench/fuzz/fuzz.py tries all


@pytest.fixture(scope="module")
def finished(trained, short_timing, tmp_path_factory):
    """The results of a whole run."""

    def finish(folder):
        copied(trained, folder)
        spec = folder / "one.yaml"
        spec.write_text(spec.read_text() + SECTIONS)
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(folder)
            for step in ("prune", "retrain", "evaluate", "export"):
                assert main([step, "-e", "one.yaml"]) == 0
            assert main(["evaluate", "-e", "one.yaml", "evaluate.model_path=results/one/train/model.tlt"]) == 0

    return made_once(tmp_path_factory, "finished", finish)


def linked_if_large(source, target):
    """Models and images are not written in place."""
    os.link(source, target) if source.endswith((".tlt", ".onnx", ".jpg")) else shutil.copy(source, target)


@pytest.fixture
def run(finished, tmp_path, monkeypatch):
    shutil.copytree(finished, tmp_path / "copy", copy_function=linked_if_large)
    monkeypatch.chdir(tmp_path / "copy")
    return run_of("one", load_spec("one.yaml"))


def readers(run):
    """What reads the files: the report, the bundle, the page over all, the status."""
    return {
        "report": lambda: read_facts(run),
        "bundle": lambda: bundle(run, io.StringIO()),
        "index": lambda: experiment("one", run),
        "status": lambda: progress_of("one", run, []),
    }


def test_the_files_as_they_are_written_pass(run):
    for read in readers(run).values():
        read()
    assert main(["report", "-e", "one.yaml"]) == 0
    assert progress_of("one", run, []).result.startswith("top-1 ")


def test_the_report_of_a_run_with_an_engine(run):
    """The figures of an engine are those of an exported file."""
    path = run.file("engine", "metrics")
    path.parent.mkdir()
    shutil.copy(run.folder("export") / "m.onnx.parity.json", path)
    assert main(["report", "-e", "one.yaml"]) == 0
    assert "TensorRT engine: top-1 1.0000" in run.file("report", "page").read_text()


@pytest.mark.parametrize("name", FILES)
def test_a_damaged_file_is_named_with_what_makes_it_again(run, name):
    path = run.results / name
    good = path.read_bytes()
    forms = damages(path)
    chosen = forms[:12] + random.Random(name).sample(forms[12:], min(TRIED_OF_A_FILE, len(forms) - 12))
    refused = 0
    for form, content in chosen:
        path.write_bytes(content)
        for reader, read in readers(run).items():
            try:
                read()
            except SecateurError as error:
                refused += 1
                assert path.name in error.message or path.parent.name in error.message, (form, reader, error.message)
                assert error.hint, (form, reader)
            except Exception as error:
                pytest.fail(f"{form}, {reader}: {error!r}")
    path.write_bytes(good)
    assert refused or name == "status.json"


# The report is complete without the figures of the unpruned network, and says so.
NEEDED = [name for name in FILES if name not in ("status.json", "split/classmap.json", "evaluate/train/metrics.json")]


@pytest.mark.parametrize("name", NEEDED)
def test_the_hint_is_a_command_and_it_helps(run, name):
    path = run.results / name
    path.write_bytes(b"")
    with pytest.raises((ArtifactError, DataError)) as error:
        read_facts(run)
    assert str(path) in error.value.message
    assert f"remove {path.name} there, and give the same snakemake command again" in error.value.hint
    path.unlink()
    with pytest.raises((ArtifactError, DataError), match=r"cannot read|evaluate the final model first"):
        read_facts(run)


@pytest.mark.parametrize("kind", ["pipe", "folder", "device"])
@pytest.mark.parametrize("name", FILES)
def test_something_that_is_no_file(run, name, kind):
    path = run.results / name
    path.unlink()
    os.mkfifo(path) if kind == "pipe" else path.mkdir() if kind == "folder" else path.symlink_to("/dev/zero")
    for read in readers(run).values():
        try:
            read()
        except SecateurError as error:
            assert str(path) in error.message or str(path.parent) in error.message


def test_a_part_of_the_manifest_is_not_a_smaller_set_of_images(run):
    """Half of it would train on half of the images, and nothing would say so."""
    lines = run.manifest.read_text().splitlines(keepends=True)
    for changed in (lines[: len(lines) // 2], lines[:-1], [*lines[:-1], lines[-1].replace("dark", "light")]):
        if changed == lines:
            changed[-1] = lines[-1].replace("light", "dark")
        run.manifest.write_text("".join(changed))
        with pytest.raises(ArtifactError, match=r"manifest\.csv is damaged: it is not the table that split wrote"):
            manifest_of(run)


def test_a_manifest_of_an_earlier_version_is_counted(run):
    """Its report has no digest."""
    path = run.file("split", "report")
    report = json.loads(path.read_text())
    del report["manifest_sha256"]
    path.write_text(json.dumps(report))
    assert len(manifest_of(run)) == report["images"]
    lines = run.manifest.read_text().splitlines(keepends=True)
    run.manifest.write_text("".join(lines[:-1]))
    with pytest.raises(ArtifactError, match="not the table that split wrote"):
        manifest_of(run)


def test_files_of_another_run(run):
    """Each is whole, but they are not of the same classes or images."""
    path = run.file("split", "classmap")
    path.write_text('{"dark": 0, "pale": 1}')
    with pytest.raises(ArtifactError, match=r"classmap\.json is damaged: it has other classes"):
        read_facts(run)
    path.write_text('{"dark": 0, "light": 1}')
    predictions = run.file("evaluate", "predictions", "retrain")
    predictions.write_text("".join(predictions.read_text().splitlines(keepends=True)[:-1]))
    with pytest.raises(ArtifactError, match=r"predictions\.csv is damaged: it has \d+ rows; \d+ images were evaluated"):
        read_facts(run)


def test_the_status_says_that_the_figures_are_damaged(run):
    run.file("evaluate", "metrics", "retrain").write_text("{}")
    assert "metrics.json is damaged: images: field required" in progress_of("one", run, []).result


def test_an_error_names_the_places_in_the_file(run):
    path = run.file("latency", "latency")
    latency = json.loads(path.read_text())
    latency["cases"][0]["p50_ms"] = "fast"
    latency["cases"][1]["ratio"] = -1
    path.write_text(json.dumps(latency))
    with pytest.raises(ArtifactError) as error:
        read_run_json(run, "latency", "latency")
    assert "cases.0.p50_ms: input should be a valid number" in error.value.message
    assert "cases.1.ratio: input should be greater than or equal to 0" in error.value.message


NEWER = ("p10_ms", "busy", "waiting", "spread", "attempts")


def pages_with(run, change):
    """The report, the model card and the page over all, after a change of each case of `latency.json`."""
    path = run.file("latency", "latency")
    latency = json.loads(path.read_text())
    latency["cases"] = [change(case) for case in latency["cases"]]
    path.write_text(json.dumps(latency))
    stream = io.StringIO()
    bundle(run, stream)
    assert main(["report", "-e", "one.yaml"]) == 0
    over_all = render("index.html", experiments=[experiment("one", run)], sweeps=[], pareto=[], specs={})
    return [run.file("report", "page").read_text(), (run.folder("export") / "README.md").read_text(), over_all]


def test_every_page_says_that_the_machine_was_busy(run):
    pages = pages_with(run, lambda case: {**case, "busy": True, "waiting": 0.8, "attempts": 4})
    for page in pages:
        assert "measured on a busy machine" in page.lower()
    for page in pages[:2]:
        assert "work waited for a processor in up to 80% of the time" in page
    for page in pages_with(run, lambda case: {**case, "busy": False}):
        assert "measured on a busy machine" not in page.lower()


def test_latency_of_an_older_version_is_shown_by_its_median(run):
    older = {"p50_ms": 4.56, "ratio": 0.5}
    pages = pages_with(run, lambda case: {**{k: v for k, v in case.items() if k not in NEWER}, **older})
    for page in pages:
        assert "4.56" in page
        assert "measured on a busy machine" not in page.lower()


def test_the_bundle_keeps_what_a_user_put_into_the_folder_for_triton(run):
    own = run.folder("export") / "triton/mine/config.pbtxt.bak"
    own.parent.mkdir()
    own.write_text("mine")
    earlier = run.folder("export") / "triton/earlier/1/model.onnx"
    earlier.parent.mkdir(parents=True)
    earlier.write_text("of an export under another name")
    bundle(run, io.StringIO())
    assert own.read_text() == "mine"
    assert not earlier.parent.parent.exists()
    assert (run.folder("export") / "triton/m/1/model.onnx").is_file()
