"""`num_epochs` raised after the end of a training: what the step writes, and what it says."""

import json

import pandas as pd
import pytest
from secateur.cli.main import main

from tests.shared import copied

MORE = ["train", "-e", "one.yaml", "train.num_epochs=2"]


@pytest.fixture
def one_epoch(trained, tmp_path, monkeypatch):
    """The folder of a finished training of one epoch; its schedule is a cosine."""
    copied(trained, tmp_path / "copy")
    monkeypatch.chdir(tmp_path / "copy")
    return tmp_path / "copy"


def said_in_status(folder):
    lines = (folder / "results/one/status.json").read_text().splitlines()
    return [json.loads(line)["message"] for line in lines]


def test_the_files_of_a_step_that_goes_on_continue(one_epoch, capsys):
    results = one_epoch / "results/one/train"
    before, events = pd.read_csv(results / "history.csv"), set((results / "tb_events").iterdir())
    assert main([*MORE, "train.extend=warm_restart"]) == 0
    words = "goes on after epoch 1 of the finished training, to epoch 2; the schedule runs again from epoch 2 on"
    assert f"train  {words}" in capsys.readouterr().err
    assert words in said_in_status(one_epoch)
    history = pd.read_csv(results / "history.csv")
    assert history["epoch"].tolist() == [1, 2]
    pd.testing.assert_frame_equal(history[:1], before)
    metrics = json.loads((results / "metrics.json").read_text())
    assert (metrics["epochs"], metrics["schedule_restarted_after_epoch"]) == (2, 1)
    assert events < set((results / "tb_events").iterdir()), "the curves of the epochs before stay"


def test_a_step_that_starts_again_says_why_in_the_log_and_in_the_status(one_epoch, capsys):
    assert main(MORE) == 0
    words = "starts from epoch 1, although 1 epoch is finished: train.lr_config.scheduler cosine has other"
    assert f"warning: train  {words}" in capsys.readouterr().err
    assert any(message.startswith(words) for message in said_in_status(one_epoch))
    metrics = json.loads((one_epoch / "results/one/train/metrics.json").read_text())
    assert metrics["epochs"] == 2
    assert "schedule_restarted_after_epoch" not in metrics
