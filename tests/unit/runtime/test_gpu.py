"""GPU leases: which devices there are, who has them, and that nobody keeps them after his death."""

import importlib.util
import os
import subprocess
import sys
import time

import pytest
from secateur.run import run_of
from secateur.runtime.gpu import devices, leased, lock_folder
from secateur.spec import load_spec
from secateur.workflow.inputs import gpus_of
from secateur.workflow.job import on_gpus

TWO = """GPU 0: NVIDIA A100 (UUID: GPU-aaaa)
GPU 1: NVIDIA A100 (UUID: GPU-bbbb)
"""
DIVIDED = """GPU 0: NVIDIA A100 (UUID: GPU-aaaa)
  MIG 3g.20gb     Device  0: (UUID: MIG-1111)
  MIG 3g.20gb     Device  1: (UUID: MIG-2222)
GPU 1: NVIDIA A100 (UUID: GPU-bbbb)
"""


@pytest.fixture
def host(tmp_path):
    """The environment of a host with two GPUs and no driver."""
    return {"SECATEUR_GPUS": "0,1", "SECATEUR_GPU_LOCKS": str(tmp_path / "locks")}


def nvidia_smi(tmp_path, monkeypatch, text, code=0):
    program = tmp_path / "bin/nvidia-smi"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\ncat <<'END'\n{text}END\nexit {code}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent), prepend=os.pathsep)


@pytest.mark.parametrize(
    ("listed", "environment", "found"),
    [
        (TWO, {}, ["GPU-aaaa", "GPU-bbbb"]),
        (TWO, {"CUDA_VISIBLE_DEVICES": "1"}, ["GPU-bbbb"]),
        (TWO, {"CUDA_VISIBLE_DEVICES": "1,0,1"}, ["GPU-bbbb", "GPU-aaaa"]),
        (TWO, {"CUDA_VISIBLE_DEVICES": "GPU-aaaa"}, ["GPU-aaaa"]),
        (TWO, {"CUDA_VISIBLE_DEVICES": "0,-1,1"}, ["GPU-aaaa"]),
        (TWO, {"CUDA_VISIBLE_DEVICES": ""}, []),
        (TWO, {"CUDA_VISIBLE_DEVICES": "NoDevFiles"}, []),
        (TWO, {"CUDA_VISIBLE_DEVICES": "0", "SECATEUR_GPUS": "0,1"}, ["GPU-aaaa", "GPU-bbbb"]),
        (DIVIDED, {}, ["MIG-1111", "MIG-2222", "GPU-bbbb"]),
        ("NVIDIA-SMI has failed\n", {}, []),
    ],
)
def test_the_devices_of_a_host(tmp_path, monkeypatch, listed, environment, found):
    nvidia_smi(tmp_path, monkeypatch, listed, code=9 if "failed" in listed else 0)
    assert devices(environment) == found


def test_without_a_driver_names_are_taken_as_they_are(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert devices({}) == []
    assert devices({"CUDA_VISIBLE_DEVICES": "0, 1"}) == ["0", "1"]


def test_a_job_sees_its_own_device_alone_and_gives_it_back(host):
    before = dict(host)
    with leased(1, host) as first:
        other = dict(before)
        with leased(1, other) as second:
            assert {*first, *second} == {"0", "1"}
            assert (host["CUDA_VISIBLE_DEVICES"], other["CUDA_VISIBLE_DEVICES"]) == (first[0], second[0])
    assert host == before
    with leased(2, host) as both:
        assert both == ["0", "1"]


@pytest.mark.parametrize(("count", "pool"), [(0, "0,1"), (1, ""), (3, "")])
def test_the_cpu_where_no_gpu_is_wanted_or_there(host, count, pool):
    host["SECATEUR_GPUS"] = pool
    with leased(count, host) as held:
        assert held == []
        assert host["CUDA_VISIBLE_DEVICES"] == "-1"


def test_more_than_there_are_takes_all(host):
    with leased(8, host) as held:
        assert held == ["0", "1"]


def test_jobs_of_a_batch_system_do_not_share_locks(host):
    """In each of them the device may be called 0."""
    first, second = ({**host, "SECATEUR_GPUS": "0", "SLURM_JOB_ID": number} for number in ("7", "8"))
    with leased(1, first) as one, leased(1, second) as two:
        assert one == two == ["0"]
    assert lock_folder(first) != lock_folder(second)


def test_an_unusable_lock_folder_is_named(host):
    host["SECATEUR_GPU_LOCKS"] = "/dev/null/locks"
    with pytest.raises(Exception, match="cannot lock GPUs in /dev/null/locks"), leased(1, host):
        pass


def start(host, want, *then):
    code = (
        "import os, sys, time\nfrom secateur.runtime.gpu import leased\n"
        f"with leased({want}, os.environ, lambda words: print(words, flush=True)) as held:\n"
        "    print('has', *held, flush=True)\n    time.sleep(float(sys.argv[1]))\n"
    )
    scripts = os.path.dirname(importlib.util.find_spec("secateur").submodule_search_locations[0])
    environment = {**os.environ, **host, "PYTHONPATH": scripts}
    return subprocess.Popen(
        [sys.executable, "-c", code, *then], env=environment, stdout=subprocess.PIPE, text=True, bufsize=1
    )


def test_a_killed_holder_frees_its_device_and_the_one_that_waits_says_for_whom(host):
    host["SECATEUR_GPUS"] = "0"
    holder = start(host, 1, "60")
    assert holder.stdout.readline() == "has 0\n"
    waiting = start(host, 1, "0")
    assert waiting.stdout.readline() == f"waiting for a GPU: 0 is in use by process {holder.pid}\n"
    behind = start(host, 1, "0")
    assert behind.stdout.readline() == "waiting for a GPU behind another job\n"
    holder.kill()
    assert waiting.stdout.readline() == "has 0\n"
    assert behind.communicate(timeout=30)[0].endswith("has 0\n")
    assert waiting.wait(30) == 0


def test_a_job_for_two_is_not_overtaken_by_jobs_for_one(host):
    one, other = start(host, 1, "0.5"), start(host, 1, "1.5")
    assert one.stdout.readline().startswith("has") and other.stdout.readline().startswith("has")
    wide = start(host, 2, "0")
    assert wide.stdout.readline().startswith("waiting for 2 GPUs: ")
    later = [start(host, 1, "0.3") for _ in range(4)]
    ended = {}
    running = {"wide": wide, **{f"later {number}": job for number, job in enumerate(later)}}
    while running:
        for name in [name for name, job in running.items() if job.poll() is not None]:
            ended[name] = time.monotonic()
            running.pop(name)
        time.sleep(0.02)
    assert min(ended, key=ended.get) == "wide"


def test_a_hundred_processes_some_killed_never_share_and_lose_nothing(repository):
    spec = importlib.util.spec_from_file_location("gpu_leases", repository / "bench/gpu_leases.py")
    bench = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(bench)
    found = bench.contend(100, 3, seed=os.getpid())
    assert (found["overlaps"], found["leaked"], found["failed"]) == (0, 0, 0)
    assert found["killed while they held devices"] > 3
    assert found["leases"] >= 100 - found["killed"] + found["killed while they held devices"]


SPEC = """
data: {source: images}
train: {gpus: 2}
prune: {threshold: 0.5}
retrain: {gpus: 3}
"""


def test_what_each_step_asks_for(tmp_path):
    (tmp_path / "s.yaml").write_text(SPEC)
    spec = load_spec(tmp_path / "s.yaml")
    steps = ("split", "train", "prune", "retrain", "evaluate", "export")
    assert [gpus_of(spec, step) for step in steps] == [0, 2, 0, 3, 1, 0]


@pytest.mark.parametrize(
    ("backend", "held", "chosen"),
    [(None, ("0", "1"), "jax"), ("jax", ("0", "1"), "jax"), ("tensorflow", ("0",), "tensorflow")],
)
def test_several_gpus_are_for_jax(tmp_path, host, capsys, backend, held, chosen):
    (tmp_path / "s.yaml").write_text(SPEC)
    run = run_of("s", load_spec(tmp_path / "s.yaml"))
    if backend:
        host["KERAS_BACKEND"] = backend
    with on_gpus(run, "train", 2, host, sys.stderr) as equipped:
        assert equipped.devices == held
        assert host["KERAS_BACKEND"] == chosen
    assert f"train  on GPU {' and '.join(held)}" in capsys.readouterr().err


def test_commands_that_are_no_step_see_no_gpu(tmp_path, monkeypatch):
    import secateur.cli.commands
    import secateur.cli.main

    seen = []
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    monkeypatch.setattr(
        secateur.cli.commands, "_check", lambda options: seen.append(os.environ["CUDA_VISIBLE_DEVICES"])
    )
    assert secateur.cli.main.main(["check", str(tmp_path / "s.yaml")]) == 0
    assert seen == ["-1"]
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "0"


def test_a_queue_for_one_device_does_not_keep_others_from_another(host):
    one, other = {**host, "SECATEUR_GPUS": "0"}, {**host, "SECATEUR_GPUS": "1"}
    holder, waiting = start(one, 1, "60"), None
    try:
        assert holder.stdout.readline() == "has 0\n"
        waiting = start(one, 1, "0")
        assert waiting.stdout.readline().startswith("waiting for a GPU")
        assert start(other, 1, "0").communicate(timeout=30)[0] == "has 1\n"
    finally:
        holder.kill()
    assert waiting.communicate(timeout=30)[0].endswith("has 0\n")


def test_choices_that_overlap_in_a_circle_do_not_block_each_other(host):
    jobs = [start({**host, "SECATEUR_GPUS": pair}, 2, "0.2") for pair in ("0,1", "1,2", "2,0") for _ in range(4)]
    assert all("has " in job.communicate(timeout=60)[0] for job in jobs)
