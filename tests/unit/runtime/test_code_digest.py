"""Which code makes which step out of date."""

import shutil
from pathlib import Path

import pytest
from secateur.runtime import code_digest
from secateur.spec import parse_spec
from secateur.step_table import ALL_STEPS
from secateur.workflow import staleness
from secateur.workflow.staleness import code_of, unused_code

PLAIN = "data: {source: images, preprocess_mode: tf}\nmodel: {arch: resnet_10, use_batch_norm: True}\n"
PRUNED = PLAIN + "prune: {threshold: 0.5}\n"
JUDGED = PLAIN + "prune: {target_macs: 0.5, importance: taylor, steps: 2}\n"
INT8 = PLAIN + "train: {qat: True}\n"
TRAININGS = {"train", "retrain"}
SHIPPED = {"calibrate", "export", "latency", "engine"}
EVERY = set(ALL_STEPS)


@pytest.fixture(scope="module")
def copied(tmp_path_factory):
    """A copy of the sources."""
    copy = tmp_path_factory.mktemp("code") / "secateur"
    shutil.copytree(code_digest.PACKAGE, copy, ignore=shutil.ignore_patterns("__pycache__"))
    return copy


@pytest.fixture
def package(copied, monkeypatch):
    """The copy; what a test edits is undone after it."""
    before = {path: path.read_bytes() for path in copied.rglob("*") if path.is_file() and path.suffix != ".json"}
    monkeypatch.setattr(code_digest, "PACKAGE", copied)
    forget()
    yield copied
    for path, content in before.items():
        if path.read_bytes() != content:
            path.write_bytes(content)
    monkeypatch.undo()
    forget()


def forget():
    code_digest._sources.cache_clear()
    code_digest._digest.cache_clear()
    staleness._other_backbones.cache_clear()


def digests(text):
    forget()
    spec = parse_spec(text)
    alone = ("digits", "pareto", "index")
    return {step: code_of(step, None if step in alone else spec, "train") for step in ALL_STEPS}


def edited(path, text="\nEDITED = 1\n"):
    path.write_text(path.read_text() + text)


CHANGES = [
    # Faults that no digest of the hand-kept list saw.
    ("models/cost.py", PRUNED, {"prune", "evaluate", "export", *TRAININGS}),
    ("models/graph.py", PRUNED, EVERY - {"split", "cache", "bundle", "digits", "index"}),
    ("data/filesystem.py", PRUNED, EVERY - {"prune", "pareto", "digits", "index"}),
    # One module of every package.
    ("steps/train.py", PRUNED, TRAININGS),
    ("steps/bundle.py", PRUNED, {"bundle"}),
    ("steps/trainer.py", PRUNED, TRAININGS),
    ("steps/trainer.py", JUDGED, {"prune", *TRAININGS}),
    ("keras_to_onnx/layers.py", PRUNED, {*SHIPPED, "pareto"}),
    ("keras_to_onnx/layers.py", INT8, {*SHIPPED, "pareto", "evaluate", "inference", *TRAININGS}),
    ("data/assignment.py", PRUNED, {"split"}),
    ("data/augment.py", PRUNED, {"cache", "evaluate", "inference", "report", *SHIPPED, *TRAININGS}),
    ("zoo/resnet.py", PRUNED, TRAININGS),
    ("zoo/vgg.py", PRUNED, set()),
    ("byom/backbone.py", PRUNED, set()),
    ("training/schedules.py", PRUNED, TRAININGS),
    ("training/schedules.py", JUDGED, {"prune", *TRAININGS}),
    ("training/distill.py", PRUNED, set()),
    ("pruning/layer_rules.py", PRUNED, {"prune"}),
    ("pruning/taylor.py", PRUNED, set()),
    ("pruning/taylor.py", JUDGED, {"prune"}),
    ("quantization/ranges.py", PRUNED, {*SHIPPED}),
    ("quantization/ranges.py", INT8, {*SHIPPED, "evaluate", "inference", *TRAININGS}),
    ("evaluation/metrics.py", PRUNED, {"evaluate", "export", "engine", "report"}),
    ("evaluation/pareto_front.py", PRUNED, {"pareto", "index"}),
    ("export/timing.py", PRUNED, {"latency", "pareto"}),
    ("export/bundle/card.py", PRUNED, {"bundle"}),
    ("report/verdict.py", PRUNED, {"report"}),
    ("report/pruning_page.py", PRUNED, set()),
    ("storage/csv.py", PRUNED, EVERY - {"prune", "latency"}),
    # They cannot change a result.
    ("errors.py", PRUNED, set()),
    ("cli/main.py", PRUNED, set()),
    ("workflow/inputs.py", PRUNED, set()),
    ("storage/atomic.py", PRUNED, set()),
    ("vault/age.py", PRUNED, set()),
    ("runtime/gpu.py", PRUNED, set()),
    ("spec/load.py", PRUNED, set()),
    ("training/progress.py", PRUNED, set()),
    ("tracking/services.py", PRUNED, set()),
    ("__init__.py", PRUNED, set()),
]


@pytest.mark.parametrize(("module", "spec", "changed"), CHANGES, ids=lambda value: value if "/" in str(value) else "")
def test_a_change_of_code_makes_the_steps_that_use_it_out_of_date(package, module, spec, changed):
    before = digests(spec)
    edited(package / module)
    after = digests(spec)
    assert {step for step in before if before[step] != after[step]} == changed


def test_compiled_code_is_no_data_of_a_module(package):
    """`walking` has the word in its list of folders that are left out."""
    before = digests(PRUNED)
    assert '"__pycache__"' in (package / "data/walking.py").read_text()
    (package / "data/__pycache__").mkdir(exist_ok=True)
    (package / "data/__pycache__/walking.cpython-311.pyc").write_bytes(b"x")
    edited(package / "data/walking.py")  # it is read again
    once = digests(PRUNED)
    (package / "data/__pycache__/walking.cpython-311.pyc").write_bytes(b"yy")
    (package / "data/walking.py").touch()
    assert digests(PRUNED) == once != before


COSMETIC = [
    ("steps/train.py", "\n# A comment.\n"),
    ("training/loop.py", '\nprint("another word")\n'),
    ("data/images.py", '\n"""A text."""\n'),
]


def test_words_make_nothing_out_of_date(package):
    before = digests(PRUNED)
    for module, text in COSMETIC:
        edited(package / module, text)
    path = package / "training/loop.py"
    path.write_text(path.read_text().replace("raise ModelError(\n", 'raise ModelError(\n            "more words" ', 1))
    path = package / "spec/train_spec.py"
    text = path.read_text()
    line = next(line for line in text.splitlines() if "num_epochs" in line)
    path.write_text(text.replace(line, f"{line}\n    another_key: int = spec_key(1, 'its words', 'training')"))
    after = digests(PRUNED)
    assert {step for step in before if before[step] != after[step]} == set()


def test_what_lies_beside_a_module_counts(package):
    before = digests(PRUNED)
    edited(package / "report/templates/report.html", "<p>")
    assert {step for step, digest in digests(PRUNED).items() if digest != before[step]} == {"report", "index"}
    before = digests(PRUNED)
    edited(package / "export/bundle/predict.py")
    assert {step for step, digest in digests(PRUNED).items() if digest != before[step]} == {"bundle"}


def test_another_version_of_a_library_makes_what_it_computes_out_of_date(package, monkeypatch):
    before = digests(PRUNED)
    real = code_digest.version
    code_digest._version.cache_clear()
    monkeypatch.setattr(code_digest, "version", lambda name: "9.9" if name == "onnxruntime" else real(name))
    changed = {step for step, digest in digests(PRUNED).items() if digest != before[step]}
    code_digest._version.cache_clear()
    assert {"latency", "export", "pareto"} <= changed
    assert not {"split", "digits", "train", "retrain", "bundle"} & changed


def test_every_module_that_does_not_count_exists_and_has_a_reason():
    for name, reason in code_digest.COSMETIC.items():
        path = code_digest.PACKAGE.joinpath(*name.split(".")[1:])
        assert path.with_suffix(".py").is_file() or (path / "__init__.py").is_file(), name
        assert reason


def test_every_name_of_unused_code_is_a_module():
    for text in (PLAIN, PRUNED, JUDGED):
        for step in ALL_STEPS:
            for name in unused_code(parse_spec(text), step):
                path = code_digest.PACKAGE.joinpath(*name.split(".")[1:])
                assert path.with_suffix(".py").is_file() or (path / "__init__.py").is_file(), name


def test_what_is_known_of_the_sources_is_kept_and_a_damaged_file_of_it_is_not_believed(package):
    before = digests(PRUNED)
    kept = Path(code_digest._cache_path())
    assert kept.is_file()
    for content in (b"", b"[]", b"{", b'{"made_by": 1}'):
        kept.write_bytes(content)
        assert digests(PRUNED) == before
