"""Which kernels TensorFlow computes with on a CPU."""

import os
import platform
import subprocess
import sys

import pytest
from secateur.cli.main import main
from secateur.runtime.onednn import ONEDNN, use_onednn

IN_A_RULE = """
from secateur.workflow.job import logged
with logged("train.log"):
    import tensorflow
"""


def test_onednn_is_asked_for_on_x86_only(monkeypatch):
    environment: dict[str, str] = {}
    monkeypatch.setattr(platform, "machine", lambda: "aarch64")
    use_onednn(environment)
    assert environment == {}
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    use_onednn(environment)
    assert environment == {ONEDNN: "1"}


def test_what_the_user_has_set_stays():
    environment = {ONEDNN: "0"}
    use_onednn(environment)
    assert environment == {ONEDNN: "0"}


@pytest.mark.skipif(platform.machine() != "x86_64", reason="oneDNN is asked for on x86 only")
class TestOnX86:
    def test_every_command_asks_for_it(self, monkeypatch, tmp_path):
        monkeypatch.setitem(os.environ, ONEDNN, "")
        del os.environ[ONEDNN]
        main(["check", str(tmp_path / "missing.yaml")])
        assert os.environ[ONEDNN] == "1"

    def test_tensorflow_has_it_on_in_a_rule_of_the_workflow(self, repository, tmp_path):
        asked = {ONEDNN, "TF_CPP_MIN_LOG_LEVEL"}
        environment = {name: value for name, value in os.environ.items() if name not in asked}
        environment |= {"PYTHONPATH": str(repository / "scripts"), "TF_CPP_MIN_LOG_LEVEL": "0"}
        subprocess.run([sys.executable, "-c", IN_A_RULE], cwd=tmp_path, env=environment, check=True)
        assert "oneDNN custom operations are on" in (tmp_path / "train.log").read_text()
