"""Cores, memory and time of jobs, with real Snakemake: who runs beside whom, and what a user can change."""

import json
import os
import re
import subprocess
import sys
from itertools import combinations

import pytest
import yaml

from tests.conftest import write_class_folders
from tests.workflows import STAND_IN, stand_in

SPEC = """
key: env:TEST_KEY
data: {source: images, preprocess_mode: tf}
model: {arch: resnet_10, input_image_size: [3, 32, 32], use_batch_norm: True}
train: {num_epochs: 1, batch_size_per_gpu: 4, n_workers: 1}
export: {output_path: EXPORTDIR/m.onnx}
"""
# Times of one clock for all processes.
TIMED = (
    """
import json, time
start = time.monotonic()
time.sleep(1.5 if snakemake.rule in ("train", "latency") else 0.2)
"""
    + STAND_IN
    + """
about = {"rule": snakemake.rule, "threads": snakemake.threads, "start": start, "end": time.monotonic()}
Path(snakemake.log[0]).write_text(json.dumps(about))
"""
)
EQUIPPED = """
import json, os
from secateur.runtime.threads import VARIABLES
from secateur.workflow.job import job
with job(snakemake) as (run, stream):
    numbers = [run.threads, *(int(os.environ[name]) for name in VARIABLES)]
    print(json.dumps(numbers), file=stream)
"""
LATENCIES = [f"results/{name}/export/latency.json" for name in ("one", "two")]


@pytest.fixture(scope="module")
def snakefile(tmp_path_factory):
    return stand_in(tmp_path_factory.mktemp("workflow"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two experiments."""
    folder = tmp_path_factory.mktemp("project")
    write_class_folders(folder / "images")
    for name in ("one", "two"):
        (folder / f"{name}.yaml").write_text(SPEC)
    (folder / "config").mkdir()
    (folder / "config/config.yaml").write_text("experiments: {one: one.yaml, two: two.yaml}\n")
    return folder


def snakemake(snakefile, folder, *words, cores="2"):
    command = [sys.executable, "-m", "snakemake", "-s", str(snakefile), "-d", str(folder)]
    command += ["--cores", cores] if cores else []
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    environment["TEST_KEY"] = "k"
    result = subprocess.run([*command, *words], env=environment, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr + result.stdout
    return result.stdout + result.stderr


def asked(snakefile, folder, *words, cores="16"):
    """Rule -> its threads, memory in MB and minutes, as a dry run says."""
    said = snakemake(snakefile, folder, "-n", "--verbose", "--forceall", *words, "--", LATENCIES[0], cores=cores)
    found = {}
    for block in re.split(r"^ *rule ", said, flags=re.MULTILINE)[1:]:
        threads, memory, minutes = (
            re.search(pattern, block) for pattern in (r"threads: (\d+)", r"mem_mb=(\d+)", r"runtime=(\d+)")
        )
        rule = block.partition(":")[0]
        found[rule] = (int(threads[1]) if threads else 1, int(memory[1]), int(minutes[1]))
    return found


def test_nothing_runs_beside_a_measurement(snakefile, folder):
    for script in (snakefile.parent / "scripts").glob("*.py"):
        script.write_text(TIMED)
    # The first experiment is ready to be timed when the second one begins.
    snakemake(snakefile, folder, "--", "results/one/export/m.onnx")
    snakemake(snakefile, folder, "--", *LATENCIES)
    jobs = [json.loads(path.read_text()) for path in folder.glob("logs/*/*.log")]
    threads = {about["rule"]: about["threads"] for about in jobs}
    assert threads == {"split": 2, "train": 1, "export": 2, "latency": 2}
    for first, second in combinations(jobs, 2):
        if "latency" in (first["rule"], second["rule"]):
            assert first["end"] <= second["start"] or second["end"] <= first["start"], (first, second)
    assert sum(about["rule"] == "latency" for about in jobs) == 2
    # Another number of cores changes no result.
    said = snakemake(snakefile, folder, "-n", "--set-resources", "train:mem_mb=1", "--", *LATENCIES, cores="16")
    assert "Nothing to be done" in said


def test_what_a_spec_asks_for(snakefile, folder):
    found = asked(snakefile, folder)
    assert {rule: threads for rule, (threads, _, _) in found.items()} == {
        "split": 16,
        "train": 1,
        "export": 8,
        "latency": 16,
    }
    assert found["train"][2] == 240
    assert all(memory >= 2000 for _, memory, _ in found.values())


def test_a_profile_and_the_command_line_replace_it(snakefile, folder):
    before = asked(snakefile, folder)
    (folder / "mine").mkdir()
    mine = {"set-threads": {"train": 5}, "set-resources": {"train": {"mem_mb": 123, "runtime": 7}}}
    (folder / "mine/config.yaml").write_text(yaml.safe_dump(mine))
    profile = ("--profile", str(folder / "mine"))
    assert asked(snakefile, folder, *profile) == {**before, "train": (5, 123, 7)}
    by_hand = asked(snakefile, folder, *profile, "--set-threads", "train=3", "latency=1", "--max-threads", "4")
    assert [by_hand[rule][0] for rule in ("train", "latency", "split")] == [3, 1, 4]
    assert by_hand["train"][1:] == (123, 7)


@pytest.mark.parametrize("profile", ["slurm", "queue"])
def test_cores_of_a_cluster_profile_are_those_of_one_job(snakefile, folder, profile):
    path = str(snakefile.parent / "profiles" / profile)
    found = asked(snakefile, folder, "--profile", path, cores="")
    assert {rule: found[rule][0] for rule in ("split", "train", "latency")} == {"split": 8, "train": 1, "latency": 8}


def test_a_job_gives_its_threads_to_the_libraries(snakefile, folder):
    for script in (snakefile.parent / "scripts").glob("*.py"):
        script.write_text(STAND_IN)
    (snakefile.parent / "scripts/cache.py").write_text(EQUIPPED + STAND_IN)
    wanted = ("--set-threads", "cache=3", "--forcerun", "cache", "--", "results/one/cache/image_cache.json")
    snakemake(snakefile, folder, *wanted, cores="4")
    assert json.loads((folder / "logs/one/cache.log").read_text()) == [3] * 6
