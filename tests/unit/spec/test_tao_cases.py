"""Spec files of TAO that were once refused or misread, each with the one thing that it is about."""

from pathlib import Path

import pytest
from secateur.errors import SpecError
from secateur.run import run_of
from secateur.spec import load_spec
from secateur.spec.convert import converted
from secateur.spec.effective import effective
from secateur.vault.keys import key_of
from secateur.workflow.missing_files import missing_files

CASES = Path(__file__).parent / "cases"
REFUSED = ("m11_key_placeholder.yaml", "m19_pyt.yaml", "m21_line.yaml")
NAMES = sorted(path.name for path in CASES.iterdir())


def read(name, overrides=()):
    return load_spec(CASES / name, overrides)


def remarks(spec, kind, key):
    """The texts of the notices of one kind about one key."""
    return [notice.text for notice in spec.notices if (notice.kind, notice.key) == (kind, key)]


def release(spec):
    return next(notice.text for notice in spec.notices if notice.kind == "release").partition(" (")[0]


def mistake(name):
    with pytest.raises(SpecError) as error:
        read(name)
    return error.value


def test_every_case_is_here():
    assert len(NAMES) == 32


@pytest.mark.parametrize("name", [name for name in NAMES if name not in REFUSED])
def test_conversion_keeps_the_meaning(name, tmp_path):
    (tmp_path / "new.yaml").write_text(converted([str(CASES / name)]))
    assert effective(load_spec(tmp_path / "new.yaml")) == effective(read(name))


@pytest.mark.parametrize("name", [name for name in NAMES if name.endswith(".cfg")])
def test_protos_are_read_as_they_are(name):
    spec = read(name)
    assert release(spec) == "TAO's TF1 protos"
    assert (spec.data.train_dataset_path, spec.data.val_dataset_path) == ("images/train", "images/val")
    assert (spec.model.input_image_size, spec.model.use_batch_norm) == ((3, 64, 64), True)
    assert (spec.train.batch_size_per_gpu, spec.train.num_epochs) == (16, 1)
    assert (spec.train.reg_config.type, spec.train.reg_config.scope) == ("l2", ["conv2d", "dense"])
    assert (spec.train.reg_config.weight_decay, spec.data.preprocess_mode) == (5e-5, "caffe")
    assert spec.plain_files


def test_m01_a_proto():
    spec = read("m01_textproto.cfg")
    assert (spec.model.arch, spec.train.optim_config.optimizer, spec.train.optim_config.momentum) == (
        "resnet_18",
        "sgd",
        0.9,
    )
    lr_config = spec.train.lr_config
    assert (lr_config.scheduler, lr_config.learning_rate, lr_config.step_size, lr_config.gamma) == (
        "step",
        0.006,
        10,
        0.1,
    )
    assert spec.origins["train.num_epochs"] == "line 14"
    assert remarks(spec, "renamed", "train_config.n_epochs") == ["is train.num_epochs"]


def test_m02_center_crop_of_eval_config():
    spec = read("m02_eval_center_crop.cfg")
    assert (spec.augment.enable_center_crop, spec.evaluate.top_k, spec.evaluate.batch_size) == (True, 3, 16)
    assert spec.evaluate.dataset_path == "images/test"


def test_m03_one_block():
    assert read("m03_one_frozen_block.cfg").model.freeze_blocks == [0]


def test_m04_tlt2():
    spec = read("m04_tlt2.cfg")
    lr_config = spec.train.lr_config
    assert spec.train.optim_config.optimizer == "adam"
    assert (lr_config.scheduler, lr_config.learning_rate, lr_config.soft_start) == ("soft_anneal", 0.005, 0.056)
    assert (lr_config.annealing_points, lr_config.annealing_divider) == ([0.3, 0.6, 0.8], 10)
    assert remarks(spec, "no effect", "eval_config.conf_threshold")


def test_m04b_adam_stays_adam():
    spec = read("m04b_optimizer_word.cfg")
    assert (spec.train.optim_config.optimizer, spec.train.lr_config.scheduler) == ("adam", "step")


def test_m05_activation_of_a_resnet_is_not_read_by_tao():
    spec = read("m05_activation.cfg")
    assert spec.model.activation_type is None
    assert remarks(spec, "no effect", "model_config.activation.activation_type")


def test_m06_the_old_name_of_retain_head():
    assert read("m06_use_imagenet_head.cfg").model.retain_head


def test_m07_depth_of_a_mobilenet():
    spec = read("m07_n_layers_of_mobilenet.cfg")
    assert spec.model.arch == "mobilenet_v1"
    assert remarks(spec, "no effect", "model_config.n_layers")


def test_m08_pooling_of_googlenet():
    spec = read("m08_pooling_of_googlenet.cfg")
    assert (spec.model.arch, spec.model.use_pooling) == ("googlenet", False)
    assert remarks(spec, "no effect", "model_config.use_pooling")


def test_m09_no_worker_is_the_main_thread():
    spec = read("m09_no_workers.yaml")
    assert spec.evaluate.n_workers == 1
    assert remarks(spec, "warning", "evaluate.n_workers")


def test_m10_without_a_key_nothing_is_encrypted():
    spec = read("m10_no_key.yaml")
    assert (spec.key, spec.plain_files, key_of(spec)) == (None, True, None)
    assert "not encrypted" in remarks(spec, "warning", "key")[0]


def test_m11_a_placeholder_is_no_passphrase():
    error = mistake("m11_key_placeholder.yaml")
    assert "m11_key_placeholder.yaml:2: encryption_key: the value is a placeholder" in error.message
    assert "env:NAME" in error.hint


def test_m12_json_of_the_service():
    spec = read("m12_api.json")
    assert (spec.model.arch, spec.model.input_image_size, spec.model.activation_type) == (
        "efficientnet-b0",
        (3, 64, 64),
        None,
    )
    assert (spec.train.num_epochs, spec.data.num_classes, spec.data.preprocess_mode) == (1, 4, "caffe")
    assert remarks(spec, "warning", "model.activation_type") == ["the text None is read as no value"]
    assert spec.origins["train.num_epochs"] == "line 3"


def test_m13_keys_of_later_releases():
    spec = read("m13_keys_of_5_3_to_6.yaml")
    assert release(spec) == "TAO 6.0"
    assert (spec.train.validation_interval, spec.train.wandb) == (10, None)
    for key in ("model_name", "train.resume_training_checkpoint_path", "train.wandb"):
        assert remarks(spec, "no effect", key), key


def test_m14_missing_values():
    spec = read("m14_missing_marks.yaml")
    assert (spec.results_dir, spec.evaluate.dataset_path, spec.evaluate.model_path) == (None, None, None)
    for key in ("results_dir", "evaluate.dataset_path", "evaluate.checkpoint"):
        assert remarks(spec, "missing", key) == ["has no value (???)"]


def test_m15_references():
    assert read("m15_interpolation.yaml").evaluate.model_path == "out/train/efficientnet-b0_001.tlt"


def test_m16_defaults_of_v2():
    spec = read("m16_v2_defaults.yaml")
    assert release(spec) == "TAO 5.5"
    assert (spec.model.input_image_size, spec.model.use_batch_norm, spec.model.use_pooling) == (
        (3, 256, 256),
        True,
        True,
    )
    assert (spec.train.batch_size_per_gpu, spec.train.num_epochs, spec.train.label_smoothing) == (64, 100, 0.01)
    assert (spec.train.optim_config.momentum, spec.train.optim_config.nesterov) == (0.99, True)
    assert (spec.augment.mixup_alpha, spec.augment.enable_color_augmentation, spec.train.qat) == (0, False, False)
    assert spec.origins["train.num_epochs"] == "TAO 5.5"
    for key in ("model.input_image_size", "train.validation_interval"):
        assert "releases differ" in remarks(spec, "release", key)[0]


def test_m16_the_user_decides_what_the_words_leave_open():
    spec = read("m16_v2_defaults.yaml", ["tao=5.0"])
    assert (release(spec), spec.model.input_image_size) == ("TAO 5.0", (3, 224, 224))
    assert read("m16_v2_defaults.yaml", ["tao=6.0"]).train.validation_interval == 10


def test_m17_defaults_of_a_proto():
    spec = read("m17_proto_defaults.cfg")
    assert (spec.train.label_smoothing, spec.train.random_seed, spec.augment.mixup_alpha) == (0, 0, 0)
    crops = (spec.augment.enable_random_crop, spec.augment.enable_center_crop, spec.augment.enable_color_augmentation)
    assert crops == (False, False, False)
    assert (spec.train.bn_config.momentum, spec.train.bn_config.epsilon) == (0.9, 1e-5)
    assert spec.origins["data.preprocess_mode"] == "TAO's TF1 protos"


def test_m18_v0():
    spec = read("m18_v0.yaml")
    assert release(spec) == "TAO's V0 files"
    assert (spec.model.arch, spec.data.preprocess_mode, spec.train.num_epochs) == ("resnet_18", "torch", 1)
    assert (spec.augment.enable_center_crop, spec.train.qat, spec.export.layout) == (True, True, "nhwc")
    assert remarks(spec, "no effect", "init_epoch")
    assert remarks(spec, "release", "train.qat")


def test_m19_pytorch_is_named():
    error = mistake("m19_pyt.yaml")
    assert "classification_pyt" in error.message
    assert "--arch" in error.hint


def test_m20_mixup_of_one():
    assert read("m20_mixup_1.yaml").augment.mixup_alpha == 1


def test_m21_the_users_own_lines_and_words():
    message = mistake("m21_line.yaml").message
    assert "m21_line.yaml:3: train.num_epoch: unknown key" in message
    assert "m21_line.yaml:7: model.no_such_key: unknown key" in message


def test_m22_merged_mappings():
    spec = read("m22_merge.yaml")
    assert (spec.train.num_epochs, spec.retrain.num_epochs) == (1, 2)
    assert spec.retrain.reg_config.weight_decay == 5e-5


@pytest.mark.parametrize("name", ["m23_colons.cfg", "m24_bom.cfg"])
def test_m23_m24_mean_the_same_as_m01(name):
    assert effective(read(name)) == effective(read("m01_textproto.cfg"))


def test_m25_the_prune_section_of_tao():
    spec = read("m25_prune_of_tao.yaml")
    assert (spec.prune.model_path, spec.prune.threshold, spec.prune.equalization_criterion) == (
        "EVALMODEL",
        0.5,
        "union",
    )
    assert remarks(spec, "no effect", "prune.byom_model_path")


def test_m26_depth_left_beside_an_efficientnet():
    spec = read("m26_n_layers_left.yaml")
    assert spec.model.arch == "efficientnet-b0"
    assert remarks(spec, "no effect", "model.n_layers")


def missing(name, folder):
    return [path.path for path in missing_files(run_of("x", read(name)), folder)]


def test_m27_the_class_map_of_the_run_is_made_later(tmp_path):
    assert read("m27_classmap_of_v2.yaml").inference.classmap == "RESULTSDIR/train/classmap.json"
    assert missing("m27_classmap_of_v2.yaml", tmp_path) == []


def test_m28_a_class_map_of_an_earlier_run_is_missing(tmp_path):
    assert missing("m28_classmap_literal.yaml", tmp_path) == ["/workspace/earlier/classmap.json"]


def test_m29_pooling_of_an_efficientnet():
    spec = read("m29_tao_default_pooling.yaml")
    assert (spec.model.use_pooling, spec.model.use_batch_norm) == (False, True)
    assert remarks(spec, "no effect", "model.use_pooling")
    assert not remarks(spec, "no effect", "model.use_batch_norm")


def test_m30_batch_norm_by_default():
    assert read("m30_v2_resnet_nan.yaml").model.use_batch_norm


def test_m31_batch_norm_of_a_network_of_ones_own():
    spec = read("m31_byom_batch_norm.yaml")
    assert (spec.model.arch, spec.model.byom_model) == ("byom", "my.tltb")
    assert remarks(spec, "no effect", "model.use_batch_norm")
