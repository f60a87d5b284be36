"""Several spec files of one TAO experiment become one."""

import json

import pytest
from secateur.cli.main import main
from secateur.errors import SpecError
from secateur.spec import load_spec
from secateur.spec.convert import converted

SPEC = """
results_dir: RESULTSDIR
encryption_key: env:K
dataset:
  train_dataset_path: images/train
  val_dataset_path: images/val
  preprocess_mode: torch
  num_classes: 20
  augmentation: {enable_color_augmentation: True}
train:
  qat: False
  checkpoint: ''
  num_epochs: 80
  lr_config: {scheduler: cosine, learning_rate: 0.05}
model: {backbone: efficientnet-b0, input_width: 256, input_height: 256, input_channels: 3, freeze_blocks: [0, 1]}
evaluate: {dataset_path: images/test, checkpoint: out/train/efficientnet-b0_080.tlt, top_k: 3, batch_size: 256}
prune: {checkpoint: out/train/efficientnet-b0_080.tlt, threshold: 0.68}
"""
RETRAIN = (
    SPEC.replace("num_epochs: 80", "num_epochs: 40")
    .replace("checkpoint: ''", "checkpoint: out/prune/model_th=0.68_eq=union.tlt")
    .replace("learning_rate: 0.05", "learning_rate: 0.01")
    .replace("freeze_blocks: [0, 1]", "freeze_blocks: []")
    .replace("batch_size: 256", "batch_size: 16")
    .replace(SPEC[SPEC.index("prune:") :], "export: {checkpoint: EVALMODEL, onnx_file: EXPORTDIR/m.onnx}\n")
)
TF1 = """
model_config { arch: "resnet" n_layers: 18 input_image_size: "3,64,64" }
train_config {
  train_dataset_path: "images/train" val_dataset_path: "images/val" pretrained_model_path: "START"
  optimizer { sgd { lr: 0.01 momentum: 0.9 } }
  lr_config { step { learning_rate: 0.006 step_size: 10 gamma: 0.1 } }
  reg_config { type: "L2" scope: "Conv2D,Dense" weight_decay: 0.00005 }
  batch_size_per_gpu: 16 n_epochs: 80 preprocess_mode: "caffe"
}
eval_config { eval_dataset_path: "images/test" top_k: 3 batch_size: 16 n_workers: 8 }
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "spec.yaml").write_text(SPEC)
    (tmp_path / "spec_retrain.yaml").write_text(RETRAIN)
    (tmp_path / "spec_retrain_qat.yaml").write_text(RETRAIN.replace("qat: False", "qat: True"))
    return tmp_path


FILES = ["spec.yaml", "spec_retrain.yaml"]


def said(spec, text):
    return [str(notice) for notice in spec.notices if text in str(notice)]


def test_retrain_has_what_differs_and_export_comes_from_the_last_file(folder):
    spec = load_spec(FILES)
    assert (spec.train.num_epochs, spec.retrain.num_epochs) == (80, 40)
    assert (spec.train.lr_config.learning_rate, spec.retrain.lr_config.learning_rate) == (0.05, 0.01)
    assert spec.retrain.optim_config.momentum == 0.99, "the release's default"
    assert spec.prune.threshold == 0.68
    assert (spec.export.output_path, spec.evaluate.batch_size) == ("EXPORTDIR/m.onnx", 16)
    assert spec.train.pretrained_model_path is None
    assert (spec.evaluate.model_path, spec.prune.model_path, spec.export.model_path) == (None, None, None)


def test_a_key_that_the_last_file_leaves_out_has_its_default(folder):
    (folder / "spec.yaml").write_text(SPEC.replace("top_k: 3", "top_k: 5"))
    (folder / "spec_retrain.yaml").write_text(
        RETRAIN.replace("dataset_path: images/test, ", "").replace("top_k: 3, ", "")
    )
    spec = load_spec(FILES)
    assert (spec.evaluate.top_k, spec.evaluate.dataset_path) == (3, "images/test")
    assert said(spec, "evaluate.top_k: 5 is not used; spec_retrain.yaml leaves the key out: the default 3 is")


SIDES = ", input_width: 256, input_height: 256, input_channels: 3"
OF_6_0 = "model_name: shoes\n"


@pytest.fixture
def without_sides(folder):
    """Files that are of 5.0, 5.5 or 6.0, which have different defaults for what is absent."""
    for name in FILES:
        (folder / name).write_text((folder / name).read_text().replace(SIDES, ""))
    return folder


def test_a_file_takes_the_release_that_another_one_settles(without_sides):
    (without_sides / "spec_retrain.yaml").write_text((without_sides / "spec_retrain.yaml").read_text() + OF_6_0)
    spec = load_spec(FILES)
    assert (spec.train.validation_interval, spec.retrain.validation_interval) == (10, 10)
    assert said(spec, "spec.yaml (train): TAO 6.0")
    assert not said(spec, "decides")


@pytest.mark.parametrize(("release", "side"), [("5.0", 224), ("5.5", 256)])
def test_the_chosen_release_counts_for_each_file(without_sides, release, side):
    spec = load_spec(FILES, [f"tao={release}"])
    assert spec.model.input_image_size == (3, side, side)
    assert len(said(spec, f"TAO {release}")) == 3, "of each file, and of the whole"
    assert load_spec(write(without_sides, converted(FILES, [f"tao={release}"]))).model == spec.model


def write(folder, text):
    (folder / "written.yaml").write_text(text)
    return folder / "written.yaml"


def test_a_section_that_the_retraining_lacks_is_the_first_files(folder):
    """Also if the two are of different releases: the defaults of a section that is absent are no values."""
    (folder / "spec.yaml").write_text(SPEC + "tao: 5.0\n")
    kept = "\n".join(line for line in RETRAIN.splitlines() if not line.startswith("evaluate:"))
    (folder / "spec_retrain.yaml").write_text(f"{kept}\ntao: 6.0\n")
    assert load_spec(FILES).evaluate.batch_size == 256


@pytest.mark.parametrize("files", [FILES, FILES[::-1]])
def test_the_order_of_the_files_does_not_count(folder, files):
    assert load_spec(files).plain == load_spec(FILES).plain


def test_what_cannot_be_joined_is_named(folder):
    spec = load_spec(FILES)
    assert said(spec, "model.freeze_blocks: [] is not used; [0, 1] is")
    assert said(spec, "evaluate.batch_size: 256 is not used; 16 is")
    assert said(spec, "efficientnet-b0_080.tlt is a model of a stage before")


def test_a_second_retraining_for_int8_is_one_line(folder):
    spec = load_spec([*FILES, "spec_retrain_qat.yaml"])
    assert not spec.retrain.qat
    assert said(spec, "spec_retrain_qat.yaml: trains it for int8 as well: set retrain.qat: True")


def test_a_retraining_for_int8_alone_is_the_retraining(folder):
    assert load_spec(["spec.yaml", "spec_retrain_qat.yaml"]).retrain.qat


def test_other_images_are_an_error_with_both_places(folder):
    (folder / "spec_retrain.yaml").write_text(RETRAIN.replace("images/test", "images/other"))
    with pytest.raises(SpecError) as error:
        load_spec(FILES)
    assert "spec_retrain.yaml:" in error.value.message
    assert "images/other, but spec.yaml:" in error.value.message


def test_two_trainings_are_an_error(folder):
    with pytest.raises(SpecError, match="both train a network"):
        load_spec(["spec.yaml", "spec.yaml"])


def test_a_proto_and_yaml_are_not_one_experiment(folder):
    (folder / "old.cfg").write_text(TF1)
    with pytest.raises(SpecError, match="not of one experiment"):
        load_spec(["spec.yaml", "old.cfg"])


def test_files_of_single_tasks(folder):
    (folder / "train.yaml").write_text(SPEC[: SPEC.index("evaluate:")])
    for task in ("evaluate", "prune"):
        line = next(line for line in SPEC.splitlines() if line.startswith(f"{task}:"))
        (folder / f"{task}.yaml").write_text(f"results_dir: out\nencryption_key: env:K\n{line}\n")
    spec = load_spec(["train.yaml", "prune.yaml", "evaluate.yaml"])
    assert (spec.prune.threshold, spec.evaluate.dataset_path, spec.train.num_epochs) == (0.68, "images/test", 80)


def test_protos_with_the_flags_of_the_command_line(folder, capsys):
    (folder / "spec.cfg").write_text(TF1.replace("START", ""))
    (folder / "retrain.cfg").write_text(
        TF1.replace("START", "out/resnet_pruned/resnet18_nopool.tlt").replace("80", "40")
    )
    words = ["convert", "spec.cfg", "retrain.cfg", "-pth", "0.6", "-el", "conv1", "predictions", "--key-env", "K"]
    assert main([*words, "-o", "one.yaml"]) == 0
    spec = load_spec("one.yaml")
    assert (spec.prune.threshold, spec.prune.excluded_layers) == (0.6, ["conv1", "predictions"])
    assert (spec.train.num_epochs, spec.retrain.num_epochs) == (80, 40)
    assert spec.train.optim_config.nesterov is False


def test_a_retraining_needs_the_amount_to_prune(folder):
    (folder / "spec.yaml").write_text(SPEC[: SPEC.index("prune:")])
    with pytest.raises(SpecError, match="retrain needs a prune section"):
        load_spec(FILES)


def test_convert_and_the_files_mean_the_same(folder):
    (folder / "one.yaml").write_text(converted(FILES))
    assert load_spec("one.yaml").plain == {**load_spec(FILES).plain, "tao": None}


def test_an_error_names_the_file_and_its_words(folder):
    (folder / "spec_retrain.yaml").write_text(RETRAIN.replace("num_epochs: 40", "num_epochs: 0"))
    with pytest.raises(SpecError, match=r"spec_retrain\.yaml:\d+: train\.num_epochs: 0 must be"):
        load_spec(FILES)


def test_the_workflow_takes_a_list(folder):
    from secateur.workflow.experiments import Experiments

    experiments = Experiments({"experiments": {"one": FILES}})
    assert experiments.specs["one"].retrain.num_epochs == 40
    assert experiments.spec_files == sorted(FILES)
    assert json.loads(json.dumps(experiments.described("one")))["spec"] == FILES


def test_the_key_of_the_files_is_kept_and_convert_does_not_copy_it(folder):
    for name in FILES:
        (folder / name).write_text((folder / name).read_text().replace("env:K", "mysecretword"))
    spec = load_spec(FILES)
    assert spec.key.get_secret_value() == "mysecretword" and not spec.plain_files
    text = converted(FILES)
    assert "mysecretword" not in text and "key: env:SECATEUR_KEY" in text


def test_two_keys_are_an_error_and_none_is_kept(folder):
    (folder / "spec_retrain.yaml").write_text(RETRAIN.replace("env:K", "env:OTHER"))
    with pytest.raises(SpecError, match="are different keys"):
        load_spec(FILES)
    for name, text in zip(FILES, (SPEC, RETRAIN), strict=True):
        (folder / name).write_text(text.replace("env:K", "none"))
    assert load_spec(FILES).plain_files


def test_a_retraining_file_changes_nothing_of_the_first_training(folder):
    more = "width: 256, use_batch_norm: False, use_pooling: False, use_bias: True, resize_interpolation_method: bicubic"
    (folder / "spec_retrain.yaml").write_text(
        RETRAIN.replace("width: 256", more).replace("color", "random_crop: False, x")
    )
    text = RETRAIN.replace("width: 256", more).replace("{enable_color", "{mixup_alpha: 0.3, enable_color")
    (folder / "spec_retrain.yaml").write_text(text)
    joined, alone = load_spec(FILES), load_spec("spec.yaml")
    assert (joined.model, joined.augment, joined.data) == (alone.model, alone.augment, alone.data)
    assert said(joined, "augment.mixup_alpha: 0.3 is not used; 0.0 is") or said(joined, "mixup_alpha: 0.3 is not used")


def test_a_retraining_in_the_specifications_words_has_its_own_defaults(folder):
    head = "key: env:K\ndata: {train_dataset_path: a, val_dataset_path: b}\nmodel: {arch: resnet_18}\nprune: {}\n"
    (folder / "a.yaml").write_text(
        head + "train: {qat: True, batch_size_per_gpu: 64, lr_config: {scheduler: step}, bn_config: {momentum: 0.5}}\n"
    )
    (folder / "b.yaml").write_text(head + "train: {pretrained_model_path: PRUNEDMODEL, num_epochs: 20}\n")
    retrain = load_spec(["a.yaml", "b.yaml"]).retrain
    assert (retrain.qat, retrain.batch_size_per_gpu, retrain.lr_config.scheduler) == (False, 32, "cosine")
    assert (retrain.num_epochs, retrain.bn_config) == (20, None)


def test_unpruned_is_not_pruned(folder):
    start = "checkpoint: /data/resnet_18_unpruned/resnet_18.hdf5"
    (folder / "spec.yaml").write_text(SPEC.replace("checkpoint: ''", start))
    assert load_spec(FILES).train.pretrained_model_path == "/data/resnet_18_unpruned/resnet_18.hdf5"


def test_empty_sections_stay(folder):
    (folder / "spec.yaml").write_text(SPEC[: SPEC.index("prune:")] + "prune: {}\n")
    assert load_spec(FILES).prune.threshold == 0.1


def test_the_second_retraining_gives_no_export(folder):
    text = RETRAIN.replace("qat: False", "qat: True") + "gen_trt_engine: {tensorrt: {data_type: int8}}\n"
    (folder / "spec_retrain_qat.yaml").write_text(text)
    assert load_spec([*FILES, "spec_retrain_qat.yaml"]).export.engine_data_type is None


def test_a_flag_does_not_swallow_a_file(folder, capsys):
    assert main(["convert", "spec.yaml", "-el", "conv1", "spec_retrain.yaml"]) == 2
    assert "write the spec files before the flags" in capsys.readouterr().err
