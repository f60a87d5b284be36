"""Every command of the README and of docs/ is run: here in one story, or by the test that stands beside it."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.programs import programs
from tests.workflows import PARTS, copied_to

PROGRAMS = re.compile(
    r"(secateur|snakemake|dvc|make|python3?|srun|sbatch|kubectl|docker|pip|wandb|export|source|git|cp|mkdir|cd"
    r"|[A-Z_]+=\S+ \w+) "
)
CHAIN = "snakemake --cores all --resources gpu=2"
QUICK = {"train": {"num_epochs": 1, "batch_size_per_gpu": 10}, "retrain": {"num_epochs": 1}}
OLD_PROTO = "model_config { arch: 'resnet' n_layers: 18 input_image_size: '3,64,64' }\n"

# Documented command -> what is run for it; None: as it stands. In the order of a user's day.
STORY = {
    "mkdir -p config/specs": None,
    "secateur new photos --name pets": None,
    'export SECATEUR_KEY="a passphrase of your own"': None,
    "export SECATEUR_KEY=...": None,
    "export SECATEUR_SHARED_RESULTS=yes": None,
    "secateur check config/specs/pets.yaml": None,
    "secateur check SPEC": "secateur check config/specs/pets.yaml",
    "make it quick": "python quick.py",
    f"{CHAIN} -n": None,
    CHAIN: None,
    "snakemake -n": None,
    f"{CHAIN} -- results/pets/report.html": None,
    "secateur run --resources gpu=2 results/pets/report.html": None,
    "secateur run --resources gpu=2 results/quickstart/report.html": "secateur run results/pets/report.html -n",
    "export SNAKEMAKE_PROFILE=profiles/slurm": "(export SNAKEMAKE_PROFILE=profiles/slurm; snakemake -n)",
    "snakemake --retries 3": "snakemake --cores all --retries 3",
    "snakemake --unlock": None,
    "secateur status": "secateur status --once",
    "secateur explain results/pets/retrain/model.tlt photo.jpg --key env:SECATEUR_KEY": None,
    "secateur inspect FILE": "secateur inspect results/pets/retrain/model.tlt",
    "secateur inspect results/x/export/m.etlt results/x/split/manifest.csv results/x/evaluate/retrain/metrics.json "
    "--key env:SECATEUR_KEY": "secateur inspect results/pets/export/resnet_18.etlt results/pets/split/manifest.csv "
    "results/pets/evaluate/retrain/metrics.json --key env:SECATEUR_KEY",
    "cd results/pets/export": None,
    "python predict.py --key env:SECATEUR_KEY ../../../photo.jpg": None,
    "secateur decrypt resnet_18.etlt -o resnet_18.onnx --key env:SECATEUR_KEY": None,
    "python predict.py photo.jpg": "python predict.py ../../../photo.jpg",
    "back": "cd ../../..",
    "secateur byom mynet.onnx -o models/mynet.tltb --key env:SECATEUR_KEY": "cp results/pets/export/resnet_18.onnx "
    "mynet.onnx && secateur byom mynet.onnx -o models/mynet.tltb --key env:SECATEUR_KEY",
    "secateur rekey FILES --key env:OLD --new-key env:NEW": "OLD=$SECATEUR_KEY NEW=another-pass-phrase "
    "secateur rekey models/mynet.tltb --key env:OLD --new-key env:NEW",
    "secateur convert old/classification_spec.cfg -o config/specs/mine.yaml": None,
    "secateur convert old/spec.yaml old/spec_retrain.yaml -o config/specs/one.yaml": None,
    "secateur convert OLD -o NEW.yaml": "secateur convert config/specs/pets.yaml -o again.yaml",
    "cp old/spec.yaml config/specs/mine.yaml": None,
    "secateur check config/specs/mine.yaml": None,
    "secateur train -e config/specs/mine.yaml train.num_epochs=3": "secateur train -e config/specs/mine.yaml "
    "train.num_epochs=1 train.batch_size_per_gpu=10",
    "secateur engine -e SPEC": "(secateur engine -e config/specs/pets.yaml || true) 2>&1 | grep TensorRT",
    "secateur dvc > dvc.yaml": None,
}  # fmt: skip

ELSEWHERE = {
    "secateur convert spec.yaml --arch resnet_18 -o config/specs/mine.yaml": (
        "tests/unit/spec/test_pytorch_convert.py"
    ),
    "secateur pick sizes --max-drop 0.02": "tests/e2e/test_sweep.py",
    "secateur pick sizes --max-drop 0.02 --by latency_ms": "tests/e2e/test_sweep.py",
    "snakemake --cores all": "above, with GPUs",
    "make demo": "the Makefile: the environment that runs this test, and tests/e2e/test_quickstart.py",
    "make .venv/stamp": "it made the environment that runs this test",
    "make .venv/stamp && source .venv/bin/activate": "as above",
    "source .venv/bin/activate": "as above",
    "make test": "it runs this test",
    "make test-fast": "it runs this test's other half",
    "make check": ".ci/run",
    "make docs": "tests/unit/test_site.py",
    "make locks": "needs a package index; tests/unit/test_environments.py compares its results",
    "make web": ".ci/run",
    "make LOCK=gpu demo": "needs a GPU",
    "snakemake --profile profiles/slurm": "tests/e2e/test_slurm.py",
    "snakemake --profile profiles/queue": "tests/workflow/test_dag.py",
    "snakemake --cores all --set-threads train=32 latency=1 --set-resources train:mem_mb=64000 train:runtime=1440": (
        "tests/workflow/test_resources.py"
    ),
    "snakemake --sdm conda": "needs conda; tests/unit/test_environments.py compares the pins",
    "snakemake --resources gpu=2 results/pets/report.html": "tests/unit/cli/test_run_workflow.py",
    "docker build -t secateur .": "needs an engine; tests/unit/test_environments.py",
    'docker run --rm --user "$(id -u):$(id -g)" -v "$PWD:/work" secateur --resources gpu=2': (
        "needs an engine; tests/e2e/test_machines.py"
    ),
    "docker stop --time 60": "needs an engine; tests/e2e/test_machines.py",
    "kubectl apply -f profiles/kubernetes/job.yaml": "needs a cluster; tests/workflow/test_dag.py reads the manifest",
    "srun --nodes=2 --ntasks-per-node=1 --gpus-per-task=4 secateur train -e config/specs/pets.yaml train.gpus=8": (
        "needs several hosts; tests/e2e/test_hosts.py"
    ),
    "sbatch --requeue --open-mode=append --signal=B:USR2@120": "tests/e2e/test_slurm.py",
    "SNAKEMAKE_PROFILE=profiles/slurm dvc repro": "needs both; tests/e2e/test_slurm.py, tests/e2e/test_dvc.py",
    "secateur weights resnet_50": "downloads; tests/unit/training/test_pretrained.py has its files",
    "secateur train -e SPEC": "tests/e2e/test_variants.py",
    "secateur rekey FILES": "above, with its keys",
    "export PYTHONPATH=$PWD/scripts": "tests/e2e/test_sweep.py",
    "wandb login": "needs an account",
    "wandb sync ...": "needs an account",
}
# tests/e2e/test_dvc.py runs them, and is looked at for them; pip needs a package index.
OF_DVC = re.compile(r"dvc (?:remote add|exp \w+|metrics \w+|params \w+|plots \w+|\w+)")
OF_ANOTHER_TEST = re.compile(r"dvc |git |pip install ")
# Sentences name a command without saying what to give it.
NAMES = {
    "secateur run",
    "docker stop",
    "secateur new",
    "secateur train",
    "secateur check",
    "secateur decrypt",
    "secateur byom",
    "python -m secateur",
}


def documented(repository: Path) -> dict[str, str]:
    """Command -> the page that has it: lines of blocks marked as sh, and inline code that begins with a program."""
    found: dict[str, str] = {}
    for page in (repository / "README.md", *sorted((repository / "docs").glob("*.md"))):
        text = page.read_text()
        for block in re.findall(r"^```sh\n(.*?)^```", text, re.DOTALL | re.MULTILINE):
            for line in block.splitlines():
                found.setdefault(line.partition("  #")[0].strip(), page.name)
        for code in re.findall(r"`([^`]+)`", re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)):
            command = " ".join(code.split())
            if PROGRAMS.match(command) and "[" not in command and command not in NAMES:
                found.setdefault(command, page.name)
    return found


def test_every_documented_command_is_run_somewhere(repository):
    commands = documented(repository)
    assert len(commands) > 50
    unknown = {
        command: page
        for command, page in commands.items()
        if command not in STORY and command not in ELSEWHERE and not OF_ANOTHER_TEST.match(command)
    }
    assert not unknown, "run them in STORY, or name the test that does"


def test_no_test_runs_what_the_docs_have_no_more(repository):
    commands = documented(repository)
    assert not (set(STORY) | set(ELSEWHERE)) - set(commands) - {"make it quick", "back"}


def test_the_tests_that_are_named_run_the_commands(repository):
    dvc = (repository / "tests/e2e/test_dvc.py").read_text()
    said = [found[0] for command in documented(repository) if (found := OF_DVC.match(command))]
    assert len(said) > 10
    assert not [words for words in said if f'"{words}' not in dvc]
    named = {path for reason in ELSEWHERE.values() for path in re.findall(r"tests/[\w/]+\.py", reason)}
    assert not [path for path in named if not (repository / path).is_file()]


@pytest.mark.slow
def test_the_story(few, tmp_path, repository):
    """A user's day, in one shell: new, check, run, look, ship, change."""
    copied_to(tmp_path, PARTS)
    shutil.copytree(few / "train", tmp_path / "photos")
    shutil.copy(next((few / "test" / "hat").iterdir()), tmp_path / "photo.jpg")
    (tmp_path / "old").mkdir()
    (tmp_path / "old/classification_spec.cfg").write_text(OLD_PROTO)
    (tmp_path / "config").mkdir()
    (tmp_path / "config/config.yaml").write_text("experiments:\n")
    (tmp_path / "quick.py").write_text(
        "import yaml, pathlib\n"
        "path = pathlib.Path('config/specs/pets.yaml'); spec = yaml.safe_load(path.read_text())\n"
        f"for section, keys in {QUICK!r}.items(): spec[section].update(keys)\n"
        "spec['model'].update(arch='resnet_10', input_image_size=[3, 32, 32])\n"
        "path.write_text(yaml.safe_dump(spec)); pathlib.Path('old/spec.yaml').write_text(yaml.safe_dump(spec))\n"
        "spec['train']['pretrained_model_path'] = 'PRUNEDMODEL'; del spec['retrain']\n"
        "pathlib.Path('old/spec_retrain.yaml').write_text(yaml.safe_dump(spec))\n"
    )
    script = "\n".join(f"echo '>>> {number}' >&2\n{run or said}" for number, (said, run) in enumerate(STORY.items()))
    bins = os.pathsep.join([str(programs()), str(Path(sys.executable).parent), os.environ["PATH"]])
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("SECATEUR", "SNAKEMAKE"))}
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=tmp_path, env={**environment, "PATH": bins}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    reached = done.stderr.rpartition(">>> ")[2]
    last = list(STORY)[int(reached.split()[0])]
    assert done.returncode == 0, f"{last}\n{reached[-3000:]}\n{done.stdout[-2000:]}"
    assert yaml.safe_load((tmp_path / "config/specs/mine.yaml").read_text())["model"]["arch"] == "resnet_10"
    assert (tmp_path / "results/pets/report.html").is_file()
    assert re.search(r"photo\.jpg\t(dress|hat|shoes)\t", done.stdout), "predict.py labels the photograph"
