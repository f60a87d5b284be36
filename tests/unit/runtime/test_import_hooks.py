"""What a step's process imports with Keras."""

import importlib
import subprocess
import sys

import pytest
from secateur.cli.main import main
from secateur.runtime.import_hooks import UNUSED

IN_A_RULE = """
import sys
from secateur.workflow.job import logged
with logged("train.log"):
    import secateur.steps.train
    found = sorted({"jax", "matplotlib", "sklearn", "sympy"} & set(sys.modules))
    import keras, matplotlib.pyplot, sklearn.metrics
    assert sklearn.metrics.confusion_matrix([0, 1], [0, 0]).tolist() == [[1, 0], [1, 0]]
    assert matplotlib.pyplot.figure
    open("found", "w").write(f"{found} {keras.backend.backend()}")
"""
IMPORTER = """
try:
    import heavy
except ImportError:
    heavy = None
"""


def test_a_rule_imports_keras_without_what_it_does_not_need(repository, tmp_path):
    environment = {"PYTHONPATH": str(repository / "scripts"), "PATH": "/usr/bin:/bin", "HOME": str(tmp_path)}
    subprocess.run([sys.executable, "-c", IN_A_RULE], cwd=tmp_path, env=environment, check=True)
    assert (tmp_path / "found").read_text() == "[] tensorflow"


class TestOneImport:
    @pytest.fixture(autouse=True)
    def importer(self, tmp_path, monkeypatch):
        """A module that imports another if it can, and is said not to need it."""
        (tmp_path / "importer.py").write_text(IMPORTER)
        (tmp_path / "heavy.py").write_text("weight = 9")
        monkeypatch.syspath_prepend(tmp_path)
        monkeypatch.setitem(UNUSED, "importer", "heavy")
        main(["check", str(tmp_path / "missing.yaml")])
        yield tmp_path
        for name in ("importer", "heavy"):
            sys.modules.pop(name, None)

    def test_is_left_out_and_can_be_made_afterwards(self):
        assert importlib.import_module("importer").heavy is None
        assert importlib.import_module("heavy").weight == 9

    def test_made_before_is_seen(self):
        importlib.import_module("heavy")
        assert importlib.import_module("importer").heavy.weight == 9

    def test_that_fails_leaves_nothing_behind(self, importer):
        (importer / "importer.py").write_text("raise ValueError")
        with pytest.raises(ValueError):
            importlib.import_module("importer")
        assert importlib.import_module("heavy").weight == 9

    def test_of_what_nobody_names_is_as_ever(self, monkeypatch):
        monkeypatch.delitem(UNUSED, "importer")
        assert importlib.import_module("importer").heavy.weight == 9

    def test_is_watched_over_once(self, tmp_path):
        before = len(sys.meta_path)
        main(["check", str(tmp_path / "missing.yaml")])
        assert len(sys.meta_path) == before
