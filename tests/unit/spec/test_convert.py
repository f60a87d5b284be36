import subprocess
import sys

import pytest
import yaml
from secateur.cli.main import main
from secateur.errors import SpecError
from secateur.spec import load_spec
from secateur.spec.convert import converted
from secateur.spec.effective import effective

# The shape of TAO's TF1 specs, with its three places that choose by a message's name.
TF1 = """
# a classification spec
model_config {
  arch: "resnet",
  n_layers: 18
  use_batch_norm: true
  all_projections: true
  freeze_blocks: 0
  freeze_blocks: 1
  input_image_size: "3,64,48"
}
train_config {
  train_dataset_path: "/data/train"
  val_dataset_path: "/data/val"
  optimizer { sgd { lr: 0.01 decay: 0.0 momentum: 0.8 nesterov: False } }
  batch_size_per_gpu: 64
  n_epochs: 80
  preprocess_mode: "caffe"
  enable_random_crop: True
  label_smoothing: 0.0
  mixup_alpha: 0.1
  reg_config { type: "L2" scope: "Conv2D,Dense" weight_decay: 5e-05 }
  lr_config { step { learning_rate: 0.006 step_size: 10 gamma: 0.1 } }
  image_mean { key: 'b' value: 103.9 }
  image_mean { key: 'g' value: 116.8 }
  image_mean { key: 'r' value: 123.7 }
}
eval_config { eval_dataset_path: "/data/test" top_k: 3 batch_size: 256 n_workers: 8 }
"""
V2 = """
encryption_key: nvidia_tlt
dataset: {train_dataset_path: a, val_dataset_path: b, augmentation: {enable_random_crop: false}}
model: {backbone: resnet_18, input_channels: 3, input_height: 40, input_width: 32}
train: {num_epochs: 7, checkpoint: models/first.tlt}
evaluate: {dataset_path: c, checkpoint: EVALMODEL}
"""


def test_a_text_proto_of_tf1(tmp_path):
    (tmp_path / "old.cfg").write_text(TF1)
    (tmp_path / "new.yaml").write_text(converted([str(tmp_path / "old.cfg")]))
    spec = load_spec(tmp_path / "new.yaml")
    assert (spec.model.arch, spec.model.input_image_size, spec.model.freeze_blocks) == (
        "resnet_18",
        (3, 64, 48),
        [0, 1],
    )
    assert (spec.train.num_epochs, spec.train.batch_size_per_gpu) == (80, 64)
    assert (spec.train.optim_config.optimizer, spec.train.optim_config.momentum) == ("sgd", 0.8)
    assert (spec.train.lr_config.scheduler, spec.train.lr_config.learning_rate) == ("step", 0.006)
    assert spec.train.reg_config.scope == ["conv2d", "dense"]
    assert spec.data.image_mean == [103.9, 116.8, 123.7]
    assert (spec.data.preprocess_mode, spec.augment.mixup_alpha) == ("caffe", 0.1)
    assert (spec.evaluate.dataset_path, spec.evaluate.top_k) == ("/data/test", 3)


def test_v2_in_the_words_of_v1(tmp_path):
    (tmp_path / "v2.yaml").write_text(V2)
    text = converted([str(tmp_path / "v2.yaml")])
    values = yaml.safe_load(text)
    assert list(values) == ["key", "data", "augment", "model", "train", "evaluate", "export"]
    assert values["model"] == {
        "arch": "resnet_18",
        "input_image_size": [3, 40, 32],
        "use_batch_norm": True,
        "use_pooling": True,
    }
    assert (values["train"]["num_epochs"], values["train"]["pretrained_model_path"]) == (7, "models/first.tlt")
    assert values["train"]["optim_config"]["momentum"] == 0.99, "a default of V2 that differs is written out"
    assert "0.99 " in text and "# default of TAO 5.5" in text
    assert "# model.backbone is now model.arch" in text
    assert "nvidia_tlt" not in text
    assert values["key"] == "env:SECATEUR_KEY"


def test_both_mean_the_same_before_and_after(tmp_path):
    (tmp_path / "v2.yaml").write_text(V2.replace("nvidia_tlt", "env:K"))
    (tmp_path / "v1.yaml").write_text(converted([str(tmp_path / "v2.yaml")]))
    assert effective(load_spec(tmp_path / "v1.yaml")) == effective(load_spec(tmp_path / "v2.yaml"))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("train_config {\n  n_epochs: 3\n", "old.cfg:2: not a text proto: no } at the end"),
        ("train_config {\n  n_epochs: :\n}", "old.cfg:2: not a text proto"),
        ("train_config {\n  image_mean { key: 'b' value: 1 }\n}", "needs b, g and r, or l"),
        ("train_config {\n  n_epoch: 3\n}", "old.cfg:2: train_config.n_epoch: unknown key"),
        ("a {" * 40, "nested too deeply"),
    ],
)
def test_mistakes_name_the_line_or_key(tmp_path, text, said):
    (tmp_path / "old.cfg").write_text(text)
    with pytest.raises(SpecError, match=r"old\.cfg") as error:
        converted([str(tmp_path / "old.cfg")])
    assert said in str(error.value)


def test_the_command_writes_no_file_twice(tmp_path, capsys):
    (tmp_path / "old.cfg").write_text(TF1)
    words = ["convert", str(tmp_path / "old.cfg"), "-o", str(tmp_path / "new.yaml")]
    assert main(words) == 0
    first = (tmp_path / "new.yaml").read_text()
    assert main(words) == 2
    assert "is there already" in capsys.readouterr().err
    assert (tmp_path / "new.yaml").read_text() == first


def test_it_needs_no_tensorflow(tmp_path):
    (tmp_path / "old.cfg").write_text(TF1)
    code = (
        "import sys; from secateur.cli.main import main; main(sys.argv[1:]); "
        "print('# loaded:', sorted({'tensorflow', 'keras', 'snakemake'} & set(sys.modules)))"
    )
    words = [sys.executable, "-c", code, "convert", str(tmp_path / "old.cfg")]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "# loaded: []"
    assert yaml.safe_load(done.stdout)["model"]["arch"] == "resnet"


@pytest.mark.parametrize("start", ["model_config { arch: 'resnet' n_layers: 18 }", "model_config\n{\n}"])
def test_protos_are_recognised_however_their_lines_are_broken(tmp_path, start):
    (tmp_path / "old.txt").write_text(f"# made by hand\n{start}\n")
    assert "model:" in converted([str(tmp_path / "old.txt")])
