"""What reruns when: real Snakemake over files that stand for results."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from tests.conftest import write_class_folders
from tests.workflows import STAND_IN, copied_to, snakemake, stand_in

SPEC = """
key: env:TEST_KEY
data: {source: images, preprocess_mode: tf}
model: {arch: resnet_10, input_image_size: [3, 32, 32], use_batch_norm: True}
train: {num_epochs: 1, batch_size_per_gpu: 4}
prune: {threshold: 0.5}
evaluate: {top_k: 2}
inference: {image_dir: images/dark}
export: {output_path: EXPORTDIR/m.onnx}
"""


class Project:
    """A folder with images, a configuration and one experiment called `one`."""

    def __init__(self, folder, repository):
        self.folder, self.snakefile = folder, repository / "Snakefile"

    def write(self, name="one", text=SPEC):
        (self.folder / f"{name}.yaml").write_text(text)
        specs = {path.stem: path.name for path in self.folder.glob("*.yaml")}
        (self.folder / "config").mkdir(exist_ok=True)
        (self.folder / "config/config.yaml").write_text(yaml.safe_dump({"experiments": specs}))

    def change(self, dotted, value, name="one"):
        spec = yaml.safe_load((self.folder / f"{name}.yaml").read_text())
        *sections, key = dotted.split(".")
        holder = spec
        for section in sections:
            holder = holder.setdefault(section, {})
        holder[key] = value
        self.write(name, yaml.safe_dump(spec))

    def snakemake(self, *words):
        return snakemake("-s", str(self.snakefile), "-d", str(self.folder), "--cores", "2", *words)

    def jobs(self):
        """Rule -> number of jobs that a run would start."""
        result = self.snakemake("-n")
        assert result.returncode == 0, result.stderr + result.stdout
        text = result.stdout + result.stderr
        if "Nothing to be done" in text:
            return {}
        table = text.split("Job stats:")[-1]
        found = {name: int(count) for name, count in re.findall(r"^(\w+) +(\d+)$", table, flags=re.MULTILINE)}
        return {name: count for name, count in found.items() if name not in ("all", "total")}


@pytest.fixture(scope="module")
def workflow(tmp_path_factory):
    """The Snakefile of a copy whose scripts only write a name into each output."""
    return stand_in(tmp_path_factory.mktemp("workflow"))


@pytest.fixture
def project(class_folders, tmp_path, repository):
    project = Project(tmp_path, repository)
    project.write()
    return project


@pytest.fixture(scope="module")
def finished(workflow, tmp_path_factory):
    """A folder whose every result is there, with Snakemake's own records of it."""
    folder = tmp_path_factory.mktemp("finished")
    write_class_folders(folder / "images")
    project = Project(folder, workflow.parent)
    project.write()
    result = project.snakemake()
    assert result.returncode == 0, result.stderr
    return folder


@pytest.fixture
def done(project, workflow, finished):
    """A copy of it for one test: all times and records are kept."""
    project.snakefile = workflow
    shutil.copytree(finished, project.folder, symlinks=True, dirs_exist_ok=True)
    return project


ALL = {
    "split": 1,
    "cache": 1,
    "train": 1,
    "prune": 1,
    "retrain": 1,
    "evaluate": 2,
    "inference": 1,
    "export": 1,
    "latency": 1,
    "bundle": 1,
    "report": 1,
    "index": 1,
}
AFTER_TRAINING = {name: count for name, count in ALL.items() if name not in ("split", "cache")}
SEEN = {"report": 1, "index": 1}
SHIPPED = {"export": 1, "latency": 1, "bundle": 1, **SEEN}


def test_a_new_experiment_runs_everything(project):
    assert project.jobs() == ALL


def test_without_prune_there_is_no_retrain(project):
    spec = yaml.safe_load(SPEC)
    del spec["prune"]
    project.write(text=yaml.safe_dump(spec))
    single = ("split", "cache", "train", "evaluate", "inference", "export", "latency", "bundle", *SEEN)
    assert project.jobs() == dict.fromkeys(single, 1)


def test_when_all_is_done_there_is_nothing_to_do(done):
    assert done.jobs() == {}


RERUNS = {
    ("evaluate.top_k", 3): {"evaluate": 2, **SHIPPED},
    ("prune.threshold", 0.6): {"prune": 1, "retrain": 1, "evaluate": 1, "inference": 1, **SHIPPED},
    ("retrain.num_epochs", 3): {"retrain": 1, "evaluate": 1, "inference": 1, **SHIPPED},
    ("train.lr_config.learning_rate", 0.01): AFTER_TRAINING,
    ("train.class_weights", "balanced"): AFTER_TRAINING,
    ("data.sampling", "balanced"): AFTER_TRAINING,
    ("augment.mixup_alpha", 0.1): AFTER_TRAINING,
    ("data.cache", "never"): {"cache": 1, **SEEN},
    # A job that runs hides from Snakemake what else changed for those that need it: no training needs the cache.
    ("model.input_image_size", "3,24,24"): {"cache": 1, **AFTER_TRAINING},
    ("augment.enable_random_crop", False): {"cache": 1, **AFTER_TRAINING},
    ("prune.importance", "taylor"): {"prune": 1, "retrain": 1, "evaluate": 1, "inference": 1, **SHIPPED},
    ("retrain.distill.alpha", 0.5): {"retrain": 1, "evaluate": 1, "inference": 1, **SHIPPED},
    ("inference.image_dir", "images/light"): {"inference": 1},
    ("export.layout", "nhwc"): SHIPPED,
    ("export.max_batch_size", 16): {"bundle": 1, **SEEN},
    ("export.data_type", "fp16"): SHIPPED,
    ("export.data_type", "int8"): {**SHIPPED, "calibrate": 1, "export": 2},
    ("export.engine_data_type", "fp16"): {"export": 1, "bundle": 1, **SEEN},
    ("export.targets", "tflite"): {"export": 2, "bundle": 1, **SEEN},
    ("export.targets", "openvino"): {"export_pair": 1, "bundle": 1, **SEEN},
    ("export.targets", "web"): {"export": 1, "bundle": 1, **SEEN},
    ("retrain.qat", True): {"retrain": 1, "evaluate": 1, "inference": 1, **SHIPPED, "calibrate": 1, "export": 2},
    ("train.n_workers", 3): {},
    ("evaluate.batch_size", 3): {},
    ("key", "env:OTHER_KEY"): {},
}


@pytest.mark.parametrize(("dotted", "value"), RERUNS, ids=str)
def test_a_change_reruns_its_step_and_what_follows(done, dotted, value):
    done.change(dotted, value)
    assert done.jobs() == RERUNS[dotted, value]


def test_another_precision_of_the_engine_writes_its_file_again_and_not_the_model(done):
    done.change("export.engine_data_type", "fp16")
    assert done.snakemake().returncode == 0
    assert done.jobs() == {}
    done.change("export.engine_data_type", "int8")
    assert done.jobs() == {"export": 1, "calibrate": 1, "bundle": 1, **SEEN}


def test_a_comment_reruns_nothing(done):
    done.write(text="# a comment\n" + SPEC)
    assert done.jobs() == {}


def test_other_versions_of_packages_rerun_nothing(done):
    """They are the environment's, which the workflow does not make; what they are stands in each model's card."""
    path = done.snakefile.parent / "envs/secateur.yaml"
    text = path.read_text()
    path.write_text(text.replace("keras==", "keras==1"))
    try:
        assert done.jobs() == {}
    finally:
        path.write_text(text)


def test_new_images_are_noticed(done, class_folders):
    shutil.copy(class_folders / "dark/00.jpg", class_folders / "light/new.jpg")
    assert done.jobs() == ALL


def test_another_time_of_the_same_images_reruns_nothing(done, class_folders):
    for path in class_folders.rglob("*.jpg"):
        os.utime(path, (1, 1))
    assert done.jobs() == {}


def test_an_image_that_was_taken_again_under_its_name_is_noticed(done, class_folders):
    """A bitmap of the same size with the same time of change; so it goes for labels that are corrected by swapping."""
    one, two = class_folders / "light/00.bmp", class_folders / "dark/00.bmp"
    for path, level in ((one, 200), (two, 50)):
        Image.fromarray(np.full((8, 8, 3), level, np.uint8)).save(path)
    assert done.snakemake().returncode == 0
    assert done.jobs() == {}
    about = one.stat()
    Image.fromarray(np.full((8, 8, 3), 201, np.uint8)).save(one)
    os.utime(one, ns=(about.st_atime_ns, about.st_mtime_ns))
    assert done.jobs() == ALL
    assert done.snakemake().returncode == 0
    one.rename(class_folders / "aside"), two.rename(one), (class_folders / "aside").rename(two)
    assert done.jobs() == ALL


def test_an_image_of_a_table_that_is_replaced_or_deleted_is_noticed(done, class_folders):
    paths = sorted(class_folders.rglob("*.jpg"))
    lines = [f"{path.relative_to(class_folders)},{path.parent.name}" for path in paths]
    (class_folders / "all.csv").write_text("\n".join(["path,class", *lines]) + "\n")
    done.change("data.source", "images/all.csv")
    done.change("inference.image_dir", None)
    assert done.snakemake().returncode == 0
    assert done.jobs() == {}
    shutil.copy(paths[0], paths[1])
    assert "split" in done.jobs()
    assert done.snakemake().returncode == 0
    paths[2].unlink()
    assert "split" in done.jobs()


def test_a_renamed_folder_of_images_leaves_a_finished_chain_finished(done, class_folders):
    class_folders.rename(done.folder / "photos")
    done.change("data.source", "photos")
    done.change("inference.image_dir", "photos/dark")
    assert done.jobs() == {}


def test_a_dry_run_before_the_first_split_reads_no_image(project):
    assert project.jobs() == ALL
    assert not (project.folder / "work").exists()


def test_a_model_that_is_made_from_itself_is_refused(project):
    """EVALMODEL is the model that this training makes: Snakemake would find a circle."""
    for key, value in (("train.pretrained_model_path", "EVALMODEL"), ("prune.model_path", "PRUNEDMODEL")):
        project.write()
        project.change(key, value)
        result = project.snakemake("-n")
        assert result.returncode == 2
        assert f"{key}: {value} is made by this step or a later one" in result.stderr
        assert "write EVALMODEL" not in result.stderr


def test_a_table_or_an_archive_of_images_is_an_input(done):
    for name in ("all.csv", "all.tar"):
        (done.folder / name).write_text("first")
        done.change("data.source", name)
        assert done.snakemake().returncode == 0
        assert done.jobs() == {}
        (done.folder / name).write_text("second")
        assert "split" in done.jobs()


def test_a_missing_result_is_made_again_even_if_nothing_later_needs_it(done):
    (done.folder / "results/one/evaluate/train/confusion.csv").unlink()
    assert done.jobs()["evaluate"] >= 1


def test_experiments_are_independent(done):
    done.write("two", SPEC)
    assert done.jobs() == ALL


def test_experiments_share_what_is_equal(project):
    """The images are examined once, and decoded once into the cache; each experiment has its own copy of the split."""
    project.write("two", SPEC.replace("threshold: 0.5", "threshold: 0.6"))
    result = project.snakemake("results/one/cache/image_cache.json", "results/two/cache/image_cache.json")
    assert result.returncode == 0, result.stderr
    logs = [(project.folder / f"logs/{name}/split.log").read_text() for name in ("one", "two")]
    assert sum("split  the same images as results/" in log for log in logs) == 1
    for file in ("manifest.csv", "classmap.json", "report.json"):
        first, second = (project.folder / f"results/{name}/split/{file}" for name in ("one", "two"))
        assert first.read_bytes() == second.read_bytes()
    assert len(list((project.folder / "work/cache").glob("[0-9a-f]*.images"))) == 2  # for training and for validation


def test_without_the_experiment_that_shared_its_split_nothing_else_is_done_again(done):
    done.write("two", SPEC)
    assert done.snakemake().returncode == 0
    assert done.jobs() == {}
    (done.folder / "one.yaml").unlink()
    done.write("two", SPEC)
    assert done.jobs() == {"index": 1}


def test_a_failure_in_one_experiment_leaves_the_others_running(project, class_folders):
    shutil.copytree(class_folders, project.folder / "broken")
    (project.folder / "broken/dark/00.jpg").write_text("no image")
    project.write("a", SPEC.replace("source: images", "source: broken"))
    wanted = [f"results/{name}/cache/image_cache.json" for name in ("a", "one")]
    result = project.snakemake(*wanted)
    assert result.returncode != 0
    assert [(project.folder / file).exists() for file in wanted] == [False, True]
    assert re.search(r"^one  split  2 classes  train \d+", result.stderr, flags=re.MULTILINE), "a line for each step"
    assert re.search(r"^one  cache  train \d+ images", result.stderr, flags=re.MULTILINE)
    assert not re.search(r"^(local)?rule |jobid|Select jobs|Finished", result.stderr, flags=re.MULTILINE)
    failure = (
        r"Error in rule split:\n    log: logs/a/split.log\n    error: 1 image file .*\n      .*00\.jpg.*\n    hint: "
    )
    assert re.search(failure, result.stderr), "the error again, where one looks for it"
    shutil.copy(class_folders / "dark/00.jpg", project.folder / "broken/dark/00.jpg")
    result = project.snakemake("--verbose", *wanted)
    assert result.returncode == 0, result.stderr
    assert "rule split:" in result.stderr, "all that Snakemake has to say"
    assert re.search(r"^total +2$", result.stderr, flags=re.MULTILINE), "split and cache of the one that failed"


def test_any_batch_system_through_two_scripts(project, workflow):
    """Here the scripts start jobs in the background; Snakemake asks them how the jobs are."""
    project.snakefile = workflow
    shutil.copytree(workflow.parent / "profiles/queue", project.folder / "profiles/queue")
    quick = ("--seconds-between-status-checks", "1", "--retries", "0", "--jobs", "3")
    result = project.snakemake("--profile", "profiles/queue", *quick)
    assert result.returncode == 0, result.stderr
    assert list((project.folder / ".snakemake/queue").glob("train.*.code"))
    assert project.jobs() == {}
    script = project.snakefile.parent / "scripts/evaluate.py"
    project.change("evaluate.top_k", 3)
    script.write_text("raise SystemExit(3)")
    try:
        result = project.snakemake("--profile", "profiles/queue", *quick)
    finally:
        script.write_text(STAND_IN)
    assert result.returncode == 1
    assert "Error in rule evaluate" in result.stderr
    assert project.jobs()["evaluate"] == 2


@pytest.mark.parametrize("profile", ["slurm", "queue"])
def test_a_profile_is_understood(project, repository, profile):
    result = project.snakemake("-n", "--profile", str(repository / "profiles" / profile))
    assert result.returncode == 0, result.stderr


def test_the_kubernetes_job_runs_the_workflow_of_the_image(project, repository, tmp_path):
    """The image as far as it can be had without an engine: the files that the Dockerfile copies, at another place."""
    steps = (repository / "Dockerfile").read_text().splitlines()
    copied = [tuple(step.split()[1:-1]) for step in steps if step.startswith("COPY ")]
    image = copied_to(tmp_path / "image", sum(copied, ()))
    claim, job = yaml.safe_load_all((repository / "profiles/kubernetes/job.yaml").read_text())
    pod = job["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert pod["volumes"][0]["persistentVolumeClaim"]["claimName"] == claim["metadata"]["name"]
    assert container["volumeMounts"] == [{"name": pod["volumes"][0]["name"], "mountPath": container["workingDir"]}]
    entry = re.search(r'ENTRYPOINT \["secateur", "run", "--snakefile", "([^"]+)"\]', "\n".join(steps)).group(1)
    words = container["args"][0].replace(entry, str(image))
    assert words.count(str(image)) == 2
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        [*container["command"], f"{words} -n"],
        cwd=project.folder, env={**os.environ, "PATH": path}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert re.search(r"^train +1$", done.stdout, flags=re.MULTILINE)


LEASING = """
import time
from secateur.workflow.job import job
with job(snakemake) as (run, stream):
    time.sleep(2)
"""


def test_two_experiments_at_once_have_a_gpu_each(project, workflow, tmp_path, monkeypatch):
    """And where no GPU is free, the job that waits says so, whatever number Snakemake was told."""
    monkeypatch.setenv("SECATEUR_GPU_LOCKS", str(tmp_path / "locks"))
    project.snakefile = workflow
    project.write("two", SPEC.replace("threshold: 0.5", "threshold: 0.6"))
    models = [f"results/{name}/train/model.tlt" for name in ("one", "two")]
    script = workflow.parent / "scripts/train.py"
    script.write_text(LEASING + STAND_IN)
    try:
        said = {}
        # By itself a training takes both cores where there is one GPU.
        for pool, words in {"0,1": (), "0": ("--set-threads", "train=1")}.items():
            monkeypatch.setenv("SECATEUR_GPUS", pool)
            result = project.snakemake("--resources", "gpu=2", *words, "--forcerun", "train", "--", *models)
            assert result.returncode == 0, result.stderr
            said[pool] = [(project.folder / f"logs/{name}/train.log").read_text() for name in ("one", "two")]
            shutil.rmtree(project.folder / "logs")
    finally:
        script.write_text(STAND_IN)
    assert sorted(said["0,1"]) == ["train  on GPU 0\n", "train  on GPU 1\n"]
    assert all(log.endswith("train  on GPU 0\n") for log in said["0"])
    assert sum("waiting for a GPU: 0 is in use by process" in log for log in said["0"]) == 1


MODULE = """
module secateur:
    snakefile: {snakefile!r}
    config: {{"experiments": {{"one": "one.yaml"}}}}
    pathvars:
        results="out/results",
        work="scratch",
        logs="out/logs",

use rule * from secateur as secateur_*

rule mine:
    default_target: True
    input: "out/results/one/train/metrics.json"
    output: "mine.txt"
    shell: "cp {{input}} {{output}}"
"""


def test_another_workflow_uses_this_one_as_a_module(class_folders, tmp_path, repository, monkeypatch):
    """From another folder, and nothing is written outside the roots that it gives."""
    monkeypatch.setenv("TEST_KEY", "k")
    (tmp_path / "one.yaml").write_text(SPEC)
    (tmp_path / "Snakefile").write_text(MODULE.format(snakefile=str(repository / "Snakefile")))
    before = {path.name for path in tmp_path.iterdir()}
    result = snakemake("--cores", "2", folder=tmp_path)
    assert result.returncode == 0, result.stderr
    assert {path.name for path in tmp_path.iterdir()} - before == {"out", "scratch", "mine.txt", ".snakemake"}
    assert (tmp_path / "out/results/one/train/model.tlt").is_file()
    assert list((tmp_path / "scratch").iterdir())
    every = snakemake("--cores", "2", "-n", "secateur_all", folder=tmp_path)
    assert every.returncode == 0, every.stderr
    assert not re.search(r"(output|log): (?!out/)", every.stdout)


def test_results_dir_is_honoured_through_a_link(project):
    project.change("results_dir", str(project.folder / "elsewhere"))
    result = project.snakemake("results/one/split/manifest.csv")
    assert result.returncode == 0, result.stderr
    assert (project.folder / "elsewhere/split/manifest.csv").is_file()
    assert (project.folder / "results/one").is_symlink()


def test_results_dir_may_name_the_usual_place(project):
    project.change("results_dir", "results/one")
    result = project.snakemake("results/one/split/manifest.csv")
    assert result.returncode == 0, result.stderr
    assert not (project.folder / "results/one").is_symlink()


def test_a_results_dir_that_cannot_be_written_is_said_before_anything_runs(project):
    project.change("results_dir", "/dev/null/results")
    result = project.snakemake()
    assert result.returncode != 0
    assert "error: cannot write into /dev/null/results" in result.stderr
    assert "split" not in {path.name for path in project.folder.rglob("*")}


@pytest.mark.parametrize(
    ("text", "code", "said"),
    [
        ("train: {num_epoch: 3}", 2, "one.yaml:1: train.num_epoch: unknown key"),
        ("model: {arch: resnet_19}", 2, "did you mean 'resnet_18'?"),
        ("evaluate: {model_path: /old/weights/b0_080.tlt}", 2, "evaluate.model_path: there is no file /old/weights"),
    ],
)
def test_a_bad_spec_is_two_lines_before_anything_runs(project, text, code, said):
    project.write(text=text)
    result = project.snakemake("-n")
    assert result.returncode == code
    assert said in result.stderr
    assert "Traceback" not in result.stderr + result.stdout
    assert not (project.folder / "results").exists()


def test_two_experiments_with_one_results_dir_are_refused(project):
    project.write("two", SPEC + "results_dir: results/one")
    result = project.snakemake("-n")
    assert result.returncode == 2
    assert "both write to" in result.stderr


def test_a_step_that_fails_says_why_with_its_exit_code_in_the_log(project, class_folders):
    (class_folders / "dark/00.jpg").write_text("no image")
    result = project.snakemake()
    assert result.returncode != 0
    assert "error: 1 image file cannot be read:" in result.stderr
    assert "hint: " in result.stderr
    assert "log: logs/one/split.log" in result.stderr
    assert not (project.folder / "results/one/split/manifest.csv").exists()
    assert "dark/00.jpg" in (project.folder / "results/one/split/unreadable.csv").read_text()


def test_lint(repository):
    result = snakemake("--lint", folder=repository)
    complaints = [line for line in result.stderr.splitlines() if line.startswith("    * ")]
    # Environments are one lock for all; lambdas are the one-line input functions; paths of code are digests.
    allowed = (
        "No conda",
        "Specify a conda environment",
        "Param",
        "Mixed rules",
        "Path composition",
        "Environment variable",
    )
    assert not [line for line in complaints if not line.strip("* ").startswith(allowed)], result.stderr


def test_after_a_failure_no_stale_result_passes_for_new(done):
    """snakemake#3808: the output of a failed job is missing, and its old consequences must not count as done."""
    done.change("prune.threshold", 0.6)
    script = done.snakefile.parent / "scripts/evaluate.py"
    script.write_text("raise SystemExit(1)")
    try:
        assert done.snakemake("--keep-going").returncode != 0
    finally:
        script.write_text(STAND_IN)
    assert done.jobs()["evaluate"] == 1
