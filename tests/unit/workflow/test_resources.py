"""What a step of a spec asks for."""

import json
import os
import sys

import pytest
from secateur.spec import Spec
from secateur.spec.architectures import ARCHITECTURES
from secateur.step_table import STEPS
from secateur.workflow.resources import NETWORKS, Machine, gpus_of, mem_mb_of, runtime_min_of, threads_of

PLAIN = {"model": {"arch": "resnet_18"}, "train": {"n_workers": 6}, "evaluate": {"n_workers": 3}}


def spec(**sections):
    return Spec.model_validate({**PLAIN, **sections})


def on(cores, gpus=0, **more):
    return Machine(cores, {"SECATEUR_GPUS": ",".join(map(str, range(gpus)))}, **more)


@pytest.mark.parametrize(
    ("step", "threads"),
    {
        "split": 16,
        "cache": 6,
        "train": 6,
        "prune": 1,
        "retrain": 6,
        "evaluate": 3,
        "inference": 3,
        "calibrate": 3,
        "export": 3,
        "latency": 16,
        "bundle": 1,
        "engine": 16,
        "report": 1,
    }.items(),
)
def test_cores_of_each_step(step, threads):
    assert threads_of(spec(prune={"threshold": 0.5}), step, on(16)) == threads


def test_every_step_asks_for_something():
    for step in STEPS:
        assert threads_of(spec(), step, on(16)) >= 1
        assert mem_mb_of(spec(), step) >= 2000
        assert runtime_min_of(spec(), step) >= 30


def test_retraining_has_its_own_number_of_workers():
    own = spec(prune={"threshold": 0.5}, retrain={"n_workers": 2})
    assert threads_of(own, "retrain", on(16)) == 2
    assert threads_of(own, "train", on(16)) == 6


@pytest.mark.parametrize(
    ("prune", "threads"),
    [
        ({"threshold": 0.5, "importance": "taylor"}, 6),
        ({"target_macs": 0.5, "steps": 3}, 2),
        ({"target_latency_ms": 2.0}, 16),
    ],
)
def test_pruning_asks_for_what_it_does(prune, threads):
    assert threads_of(spec(prune=prune, retrain={"n_workers": 2}), "prune", on(16)) == threads


def test_nobody_asks_for_more_than_there_is():
    assert {threads_of(spec(), step, on(2)) for step in STEPS} == {1, 2}


def test_each_gpu_can_have_a_job():
    """Two trainings with six threads each would not fit into eight cores, and one GPU would have nothing to do."""
    assert threads_of(spec(), "train", on(8, gpus=2)) == 4
    assert threads_of(spec(train={"n_workers": 10, "gpus": 2}), "train", on(8, gpus=2)) == 8
    assert threads_of(spec(), "evaluate", on(2, gpus=4)) == 1
    assert threads_of(spec(), "cache", on(8, gpus=2)) == 6, "a step without a GPU"
    assert threads_of(spec(), "train", on(8, gpus=2, runs_jobs=False)) == 6, "the GPUs are those of another machine"


@pytest.mark.parametrize("given", [None, sys.maxsize])
def test_all_cores_where_snakemake_was_told_no_number(given):
    assert threads_of(spec(), "latency", Machine(given)) == len(os.sched_getaffinity(0))


def test_gpus():
    assert [gpus_of(spec(train={"gpus": 2}), step) for step in ("train", "evaluate", "split", "prune")] == [2, 1, 0, 0]


def test_every_backbone_has_its_memory():
    assert set(NETWORKS) == set(ARCHITECTURES)


def test_the_numbers_are_those_that_were_counted(repository):
    counted = json.loads((repository / "bench/results/memory.json").read_text())["counted"]
    assert {
        arch: (row["bytes_a_pixel"], round(row["parameters"] / 1e6, 1)) for arch, row in counted.items()
    } == NETWORKS


def test_what_was_measured_fits_into_what_is_asked_for(repository):
    for row in json.loads((repository / "bench/results/memory.json").read_text())["measured"]:
        for batch, train_mb, predict_mb in zip(row["batches"], row["train_mb"], row["predict_mb"], strict=True):
            asked = spec(
                model={"arch": row["arch"], "input_image_size": [3, row["side"], row["side"]]},
                train={"batch_size_per_gpu": batch},
                evaluate={"batch_size": batch},
            )
            assert train_mb < mem_mb_of(asked, "train") < train_mb + 4000
            assert predict_mb < mem_mb_of(asked, "evaluate") < predict_mb + 4000


def test_memory_grows_with_batch_and_image():
    def asked(batch, side):
        sections = {"train": {"batch_size_per_gpu": batch}, "model": {"input_image_size": [3, side, side]}}
        return mem_mb_of(spec(**sections), "train")

    assert asked(32, 64) < asked(32, 224) < asked(64, 224)
    assert asked(64, 224) == asked(16, 448)


def test_a_training_has_minutes_for_each_epoch():
    assert runtime_min_of(spec(), "train") == 480, "120 epochs"
    assert runtime_min_of(spec(train={"num_epochs": 2}), "train") == 240
    cuts = spec(prune={"target_macs": 0.5, "steps": 5, "step_epochs": 10})
    assert runtime_min_of(cuts, "prune") == 30 + 5 * 10 * 4
