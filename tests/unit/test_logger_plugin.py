"""What Snakemake's output says of jobs that failed; whole runs are in tests/workflow/test_dag.py."""

import logging

import pytest
from snakemake_interface_logger_plugins.common import LogEvent
from snakemake_logger_plugin_secateur import OneLineAStep


def said(event, **fields):
    return OneLineAStep().format(
        logging.makeLogRecord({"msg": "Error in it", "event": event, "indent": False, **fields})
    )


@pytest.fixture
def logs(tmp_path):
    for name, text in {
        "train": "train  resnet_10  done\n",
        "prune": "error: old\nhint: old\nnoise\nerror: two files:\n  a.jpg\nhint: remove them\nlog: x\nW0000 noise\n",
        "killed": "1\n2\n\n3\n4\n5\n6\n",
    }.items():
        (tmp_path / name).write_text(text)
    return lambda name: str(tmp_path / name)


def error(log):
    return {"rule_name": "prune", "log": [log], "jobid": 1, "output": [], "msg": None}


def test_a_failed_job_shows_the_last_error_up_to_its_hint(logs):
    text = said(LogEvent.JOB_ERROR, **error(logs("prune")) | {"msg": "Error in it"})
    wanted = (
        f"Error in rule prune:\n    log: {logs('prune')}\n    error: two files:\n      a.jpg\n    hint: remove them"
    )
    assert text.endswith(wanted)


def test_a_job_without_an_error_of_ours_shows_the_last_lines(logs):
    text = said(LogEvent.JOB_ERROR, **error(logs("killed")) | {"msg": "Error in it"})
    assert text.endswith("    2\n    3\n    4\n    5\n    6")


def test_a_log_that_is_gone_is_named(logs):
    assert said(LogEvent.JOB_ERROR, **error(logs("gone")) | {"msg": "Error in it"}).endswith(f"log: {logs('gone')}")


def test_of_a_group_those_that_failed_are_shown(logs):
    jobs = [error(logs(name)) for name in ("train", "prune", "gone")]
    text = said(LogEvent.GROUP_ERROR, aux_logs=[], job_error_info=jobs)
    assert logs("prune") in text and "hint: remove them" in text
    assert logs("train") not in text and "old" not in text


def test_of_a_group_without_an_error_of_ours_snakemake_says_what_it_knows(logs):
    text = said(LogEvent.GROUP_ERROR, aux_logs=["slurm.log"], job_error_info=[error(logs("killed"))])
    assert "slurm.log" in text and logs("killed") in text


@pytest.mark.parametrize("event", [LogEvent.JOB_FINISHED, LogEvent.PROGRESS, LogEvent.GROUP_INFO, LogEvent.JOB_INFO])
def test_of_jobs_that_go_well_nothing_is_said(event):
    assert said(event, done=1, total=2) == ""
