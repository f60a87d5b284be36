import numpy as np
import pytest
import yaml
from PIL import Image
from secateur.cli.main import main
from secateur.cli.new_spec import spec_text, survey
from secateur.spec import load_spec

CONFIG = "# comment\nexperiments:\n  first: config/specs/first.yaml\n\n# more\n"


@pytest.fixture
def project(class_folders, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SECATEUR_GPUS", "")
    (tmp_path / "config").mkdir()
    (tmp_path / "config/config.yaml").write_text(CONFIG)
    return tmp_path


def test_a_folder_becomes_an_experiment(project, capsys):
    assert main(["new", "images", "--name", "pets"]) == 0
    out = capsys.readouterr().out
    assert "24 images of 2 classes, colour, 24 pixels" in out
    spec = load_spec("config/specs/pets.yaml")
    assert (spec.data.source, spec.model.arch, spec.model.input_image_size) == ("images", "resnet_10", (3, 32, 32))
    assert spec.train.batch_size_per_gpu == 2
    # A quarter of what suits 16 times the batch, and no less in retraining.
    assert spec.train.lr_config.learning_rate == spec.retrain.lr_config.learning_rate == 0.001
    text = (project / "config/config.yaml").read_text()
    assert text == CONFIG.replace("experiments:\n", "experiments:\n  pets: config/specs/pets.yaml\n")
    assert [str(notice) for notice in spec.notices] == []


def test_nothing_is_written_over(project, capsys):
    assert main(["new", "images"]) == 0
    before = (project / "config/config.yaml").read_text()
    assert main(["new", "images"]) == 2
    assert "images.yaml is there already" in capsys.readouterr().err
    assert (project / "config/config.yaml").read_text() == before


@pytest.mark.parametrize(
    "empty", ["experiments:\n", "experiments: {}\n# more\n", "experiments:   # none yet\n\nsweep: {}\n"]
)
def test_the_first_experiment_of_a_configuration(project, empty):
    path = project / "config/config.yaml"
    path.write_text(empty)
    assert main(["new", "images", "--name", "pets"]) == 0
    assert yaml.safe_load(path.read_text()) == {
        **yaml.safe_load(empty),
        "experiments": {"pets": "config/specs/pets.yaml"},
    }
    assert empty.count("#") == path.read_text().count("#")


def test_a_configuration_of_another_shape_is_left_alone(project, capsys):
    (project / "config/config.yaml").write_text("experiments: {first: a.yaml}\n")
    assert main(["new", "images"]) == 0
    assert "add to config/config.yaml" in capsys.readouterr().out
    assert (project / "config/config.yaml").read_text() == "experiments: {first: a.yaml}\n"


def test_large_photographs_gray_deep_and_uneven(project):
    rng = np.random.default_rng(0)
    for name, count in (("few", 2), ("many", 30)):
        (project / "deep" / name).mkdir(parents=True)
        for number in range(count):
            pixels = rng.integers(0, 65535, (300, 400), np.uint16)
            Image.fromarray(pixels).save(project / "deep" / name / f"{number}.png")
    found = survey("deep", project)
    assert (found.gray, found.bits, found.side) == (True, 16, 300)
    (project / "cpu.yaml").write_text(spec_text(found, gpus=0, cores=8))
    (project / "gpu.yaml").write_text(spec_text(found, gpus=2, cores=8))
    cpu, gpu = load_spec("cpu.yaml"), load_spec("gpu.yaml")
    assert (cpu.model.input_image_size, gpu.model.input_image_size) == ((1, 96, 96), (1, 224, 224))
    assert (cpu.model.input_image_depth, cpu.train.class_weights) == (16, "balanced")
    assert (cpu.augment.enable_random_crop, gpu.augment.enable_random_crop) == (False, True)


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["nowhere"], 3, "cannot read the folder nowhere"),
        (["images/dark"], 3, "has no class folders"),
        (["images", "--name", "a b"], 2, "cannot name an experiment"),
    ],
)
def test_mistakes(project, capsys, words, code, said):
    assert main(["new", *words]) == code
    assert said in capsys.readouterr().err
    assert not (project / "config/specs").exists()


def test_names_that_hold_anything_stay_names(project):
    strange = 'odd: "name"\n  # with a line break'
    for name, count in (('odd: "name" # x', 30), ("plain", 2)):
        for number in range(count):
            path = project / strange / name / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (40, 40)).save(path)
    (project / "odd.yaml").write_text(spec_text(survey(strange, project), gpus=0, cores=2))
    spec = load_spec("odd.yaml")
    assert spec.data.source == strange
    assert spec.train.class_weights == "balanced"


def test_a_table_of_images_elsewhere_needs_a_word(project, capsys):
    (project / "labels").mkdir()
    rows = [
        f"../images/{path.parent.name}/{path.name},{path.parent.name}" for path in sorted(project.glob("images/*/*"))
    ]
    (project / "labels/all.csv").write_text("\n".join(["path,class", *rows]) + "\n")
    assert main(["new", "labels/all.csv"]) == 3
    assert "data.table_paths: anywhere" in capsys.readouterr().err
    assert main(["new", "labels/all.csv", "--table-paths", "anywhere"]) == 0
    assert load_spec("config/specs/all.yaml").data.table_paths == "anywhere"


def test_other_files_are_counted(project, capsys):
    (project / "images/dark/one.jxl").write_bytes(b"x")
    assert main(["new", "images"]) == 0
    said = capsys.readouterr().out
    assert "files: " in said
    assert "left out: with the suffix .jxl (1)" in said
    assert "warning: left out: with the suffix .jxl (1), such as images/dark/one.jxl" in said


def test_a_class_without_images_is_not_forgotten(project, capsys):
    (project / "images/phone").mkdir()
    (project / "images/phone/one.jxl").write_bytes(b"x")
    assert main(["new", "images"]) == 3
    assert "no images in the class folders phone of images; left out there: with the suffix .jxl (1)" in (
        capsys.readouterr().err
    )


def test_photographs_that_cannot_be_read_are_said(project, capsys):
    (project / "images/dark/cut.jpg").write_bytes(b"\xff\xd8\xff\xe0 cut")
    assert main(["new", "images"]) == 0
    assert "warning: of 25 images looked at, 1 cannot be read, such as images/dark/cut.jpg: " in capsys.readouterr().out


def test_an_empty_folder_gets_a_config(project, capsys):
    (project / "config/config.yaml").unlink(missing_ok=True)
    assert main(["new", "images", "--name", "pets"]) == 0
    assert (project / "config/config.yaml").read_text() == "experiments:\n  pets: config/specs/pets.yaml\n"
    assert capsys.readouterr().out.endswith("  secateur run\n")
