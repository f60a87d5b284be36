"""The corpus of TAO's spec files: the release of each, its values, its notices, and its conversion."""

from functools import lru_cache

import pytest
import yaml
from secateur.errors import SpecError
from secateur.spec import Spec, load_spec
from secateur.spec.convert import converted
from secateur.spec.effective import flattened
from secateur.spec.release_defaults import DEFAULTS
from secateur.spec.tao_releases import Release

from tests.unit.spec.tao_corpus import ACCEPTED, REFUSED, V0, V1_MINIMAL, V2, V2_MINIMAL, proto

TF1, OLD, SPECIFICATION = "TAO's TF1 protos", "TAO's V0 files", "the specification's words"
V4, V50, V55, V60 = "TAO 4.0", "TAO 5.0", "TAO 5.5", "TAO 6.0"
ANY = ""
LR, OPTIM, REG = "train.lr_config", "train.optim_config", "train.reg_config"

# name -> release, values, notices that must be there as (kind, end of the key, part of the text).
WANTED = {
    "tf1_full.cfg": (
        TF1,
        {
            "model.arch": "resnet_34",
            "model.resize_interpolation_method": "bicubic",
            "model.freeze_blocks": [0, 1],
            "train.bn_config.momentum": 0.8,
            f"{OPTIM}.optimizer": "adam",
            f"{OPTIM}.beta_2": 0.99,
            f"{LR}.annealing_points": [0.3, 0.6, 0.8],
            f"{REG}.scope": ["dense"],
            "data.image_mean": [100.5, 110.5, 120.5],
            "train.clearml.tags": ["a", "b"],
            "train.label_smoothing": 0,
            "train.random_seed": 7,
            "evaluate.model_path": "weights/resnet_080.hdf5",
        },
        [
            ("no effect", "model_parallelism", ""),
            ("no effect", "activation_type", ""),
            ("no effect", "activation_parameters", ""),
            ("no effect", "visualizer", ""),
            ("warning", "wandb_config.key", "secret"),
        ],
    ),
    "tf1_minimal.cfg": (
        TF1,
        {"model.use_batch_norm": False, f"{OPTIM}.nesterov": False, "train.qat": False, f"{OPTIM}.decay": 0},
        [("warning", "use_batch_norm", "")],
    ),
    "tf1_eval_only.cfg": (TF1, {"evaluate.top_k": 3, "evaluate.batch_size": 4}, []),
    "tlt2_sgd.cfg": (
        TF1,
        {f"{OPTIM}.optimizer": "sgd", f"{OPTIM}.momentum": 0.9, f"{LR}.scheduler": "step", f"{LR}.gamma": 0.1},
        [("warning", "momentum", "assumed")],
    ),
    "tlt2_adam.cfg": (TF1, {f"{OPTIM}.optimizer": "adam", f"{OPTIM}.beta_1": 0.9, f"{OPTIM}.beta_2": 0.999}, []),
    "tlt1_threshold.cfg": (TF1, {"evaluate.top_k": 3}, [("no effect", "eval_config.conf_threshold", "")]),
    "tf1_angles.cfg": (TF1, {f"{OPTIM}.momentum": 0.7, f"{LR}.learning_rate": 0.006}, []),
    "tf1_colons.cfg": (TF1, {f"{OPTIM}.momentum": 0.9, f"{LR}.learning_rate": 0.006}, []),
    "tf1_single_quotes.cfg": (TF1, {"train.pretrained_model_path": "first/second.hdf5"}, []),
    "tf1_numbers.cfg": (
        TF1,
        {"model.freeze_blocks": [2], "augment.mixup_alpha": 0.5, f"{OPTIM}.momentum": 0.5, f"{REG}.weight_decay": 5e-5},
        [],
    ),
    "tf1_bools.cfg": (
        TF1,
        {
            "model.use_bias": True,
            "model.use_pooling": True,
            "model.freeze_bn": False,
            "model.all_projections": True,
            "model.use_batch_norm": False,
        },
        [],
    ),
    "tf1_enum_number.cfg": (TF1, {"model.resize_interpolation_method": "bicubic"}, []),
    "tf1_repeated_scalar.cfg": (TF1, {"train.num_epochs": 5}, []),
    "tf1_two_schedules.cfg": (
        TF1,
        {f"{LR}.scheduler": "cosine", f"{LR}.learning_rate": 0.1, f"{LR}.min_lr_ratio": 0.01},
        [("warning", "lr_config", "cosine, counts")],
    ),
    "tf1_back_to_the_first_schedule.cfg": (
        TF1,
        {f"{LR}.scheduler": "step", f"{LR}.learning_rate": 0.2, f"{LR}.gamma": 0.5},
        [("warning", "lr_config", "step, counts")],
    ),
    "tf1_cleared_schedule.cfg": (TF1, {f"{LR}.scheduler": "step", f"{LR}.step_size": 20, f"{LR}.gamma": 0}, []),
    "tf1_two_optimizers.cfg": (
        TF1,
        {f"{OPTIM}.optimizer": "rmsprop", f"{OPTIM}.rho": 0.7, f"{OPTIM}.epsilon": 1e-6},
        [("warning", "optimizer", "rmsprop, counts")],
    ),
    "tf1_freeze_list.cfg": (TF1, {"model.freeze_blocks": [0, 1, 2]}, []),
    "tf1_freeze_nothing.cfg": (TF1, {"model.freeze_blocks": []}, []),
    "tf1_partial_bn.cfg": (TF1, {"train.bn_config.momentum": 0.9, "train.bn_config.epsilon": 0}, []),
    "tf1_blank_in_scope.cfg": (TF1, {f"{REG}.scope": ["conv2d"]}, [("no effect", "scope", "Dense")]),
    "tf1_no_penalty.cfg": (TF1, {f"{REG}.type": "none"}, []),
    "tf1_label_smoothing.cfg": (TF1, {"train.label_smoothing": 0}, [("no effect", "label_smoothing", "")]),
    "tf1_two_center_crops.cfg": (
        TF1,
        {"augment.enable_center_crop": False},
        [("differs", "eval_config.enable_center_crop", "")],
    ),
    "tf1_center_crop_of_training.cfg": (
        TF1,
        {"augment.enable_center_crop": False},
        [("differs", "train_config.enable_center_crop", "False, the default, of evaluation")],
    ),
    "tf1_step_without_size.cfg": (TF1, {f"{LR}.step_size": 10}, [("differs", "step_size", "division by zero")]),
    "tf1_gray.cfg": (TF1, {"model.input_image_size": (1, 32, 40), "data.image_mean": [99]}, []),
    "tf1_mean_twice.cfg": (TF1, {"data.image_mean": [4, 2, 3]}, []),
    "tf1_crlf.cfg": (TF1, {"train.num_epochs": 2}, []),
    "tf1_without_layers.cfg": (TF1, {"model.arch": "resnet_18"}, []),
    "tf1_zero_layers.cfg": (TF1, {"model.arch": "resnet_18"}, []),
    "tf1_mobilenet.cfg": (
        TF1,
        {"model.arch": "mobilenet_v2", "model.use_pooling": False, "model.all_projections": True},
        [("no effect", "use_pooling", "")],
    ),
    "tf1_vgg.cfg": (
        TF1,
        {"model.arch": "vgg_16", "model.dropout": 0.5},
        [("no effect", "all_projections", ""), ("differs", "dropout", "")],
    ),
    "tf1_squeezenet.cfg": (TF1, {"model.arch": "squeezenet", "model.dropout": 1e-3}, []),
    "tf1_alexnet.cfg": (TF1, {"model.freeze_bn": False}, [("no effect", "freeze_bn", "")]),
    "tf1_efficientnet_b0_activation.cfg": (
        TF1,
        {"model.arch": "efficientnet-b0", "model.activation_type": None},
        [("no effect", "activation_type", "")],
    ),
    "tf1_efficientnet_b1_activation.cfg": (TF1, {"model.activation_type": "relu"}, []),
    "tf1_cspdarknet.cfg": (TF1, {"model.arch": "cspdarknet_19", "model.activation_type": "mish"}, []),
    "tf1_cspdarknet_word.cfg": (TF1, {"model.arch": "cspdarknet_tiny"}, [("no effect", "activation_type", "")]),
    "tf1_activation_of_resnet.cfg": (TF1, {"model.activation_type": None}, [("no effect", "activation_type", "")]),
    "tf1_byom.cfg": (TF1, {"model.arch": "byom", "model.byom_model": "my.tltb"}, []),
    "tf1_adam_without_epsilon.cfg": (TF1, {f"{OPTIM}.epsilon": 1e-7}, [("differs", "epsilon", "")]),
    "tf1_adam_epsilon_zero.cfg": (TF1, {f"{OPTIM}.epsilon": 1e-7}, [("differs", "epsilon", "")]),
    "tf1_momentum_absent.cfg": (TF1, {f"{OPTIM}.optimizer": "sgd", f"{OPTIM}.momentum": 0}, []),
    "tf1_colab.cfg": (
        TF1,
        {"train.pretrained_model_path": "EXPERIMENT_DIR_PATH//pretrained_resnet18/resnet_18.hdf5"},
        [],
    ),
    "both_ways": (TF1, {"train.num_epochs": 4}, [("warning", "", "can be a text proto and YAML")]),
    "both_ways.cfg": (TF1, {"train.num_epochs": 4}, []),
    "both_ways.yaml": (OLD, {"train.num_epochs": 4}, []),
    "v0_full.yaml": (
        OLD,
        {
            "model.arch": "resnet_18",
            "prune.threshold": 0.4,
            "prune.granularity": 8,
            "prune.output_path": "p.tlt",
            "export.layout": "nhwc",
            "export.batches": 10,
            "train.qat": True,
        },
        [
            ("no effect", "init_epoch", ""),
            ("no effect", "prune_config.verbose", ""),
            ("no effect", "eval_config.classmap", ""),
        ],
    ),
    "v0_minimal.yaml": (
        OLD,
        {
            "model.arch": "resnet_18",
            "model.use_pooling": True,
            f"{OPTIM}.momentum": 0.99,
            "data.preprocess_mode": "caffe",
        },
        [("release", "train.qat", "True")],
    ),
    "v0_dtype.yaml": (OLD, {"export.data_type": "fp16", "export.output_path": "out.onnx"}, []),
    "v0_imagenet_head.yaml": (OLD, {"model.arch": "resnet_34", "model.retain_head": True}, []),
    "v0_depth_without_arch.yaml": (OLD, {"model.arch": "resnet_34"}, []),
    "v0_checkpoint_freq.yaml": (OLD, {"train.checkpoint_interval": 5, "train.validation_interval": 5}, []),
    "v0_center_crop_of_evaluation.yaml": (
        OLD,
        {"augment.enable_center_crop": False},
        [("differs", "eval_config.enable_center_crop", "where the default is True")],
    ),
    "v0_bicubic.yaml": (
        OLD,
        {"model.resize_interpolation_method": "bicubic"},
        [("differs", "model_config.resize_interpolation_method", "bilinear while training")],
    ),
    "v0_two_center_crops.yaml": (OLD, {"augment.enable_center_crop": True}, [("differs", "enable_center_crop", "")]),
    "v0_channels_first.yaml": (OLD, {"export.layout": "nchw"}, []),
    "v0_5.yaml": (
        OLD,
        {"train.num_epochs": 3, "data.preprocess_mode": "tf", "evaluate.dataset_path": "c", "prune.granularity": 4},
        [("no effect", "prune.verbose", "")],
    ),
    "v1_full.yaml": (
        V4,
        {"model.arch": "resnet_18", "train.wandb.name": "classification", "prune.threshold": 0.4, "train.qat": True},
        [("no effect", "evaluate.classmap", ""), ("warning", "key", "public default"), ("no effect", "verbose", "")],
    ),
    "v1_minimal.yaml": (
        V4,
        {"model.arch": "resnet_18", "train.qat": True, f"{REG}.weight_decay": 1.5e-5},
        [("release", "train.qat", "True")],
    ),
    "v1_tao_as_number.yaml": (V4, {"train.qat": True}, []),
    "v1_the_specifications.yaml": (
        SPECIFICATION,
        {"model.arch": "efficientnet-b0", "train.num_epochs": 120, "train.label_smoothing": 0.1, "train.qat": False},
        [("warning", "data.preprocess_mode", "")],
    ),
    "v1_depth_without_arch.yaml": (V4, {"model.arch": "resnet_34"}, []),
    "v1_beta.yaml": (ANY, {"train.num_epochs": 3, "train.checkpoint_interval": 2}, []),
    "v1_5.yaml": (ANY, {"model.input_image_size": (3, 32, 64), "augment.mixup_alpha": 0.3}, []),
    "v1_notebook.yaml": (
        SPECIFICATION,
        {"model.input_image_size": (3, 256, 256), "evaluate.model_path": "EVALMODEL", "prune.threshold": 0.68},
        [],
    ),
    "v1_retrain_of_the_notebook.yaml": (
        SPECIFICATION,
        {"retrain.qat": True, "train.pretrained_model_path": None, "export.data_type": "int8"},
        [("warning", "train.pretrained_model_path", "PRUNEDMODEL")],
    ),
    "v1_gray_16_bit.yaml": (SPECIFICATION, {"model.input_image_depth": 16, "data.image_mean": [30049.0]}, []),
    "v2_5_0_full.yaml": (
        V50,
        {"model.arch": "resnet_18", "data.num_classes": 20},
        [("missing", "prune.checkpoint", "")],
    ),
    "v2_5_5_full.yaml": (
        V55,
        {"model.input_image_size": (3, 256, 256), "train.gpus": 1},
        [("no effect", "resume_training_checkpoint_path", ""), ("no effect", "mpi_args", "")],
    ),
    "v2_6_0_full.yaml": (V60, {"train.validation_interval": 10, "train.wandb.project": "TAO Toolkit"}, []),
    "v2_5_0_minimal.yaml": (V50, {"model.arch": "resnet_18", "model.input_image_size": (3, 224, 224)}, []),
    "v2_5_5_minimal.yaml": (V55, {"model.arch": "efficientnet-b0", "train.validation_interval": 1}, []),
    "v2_6_0_minimal.yaml": (V60, {"model.input_image_size": (3, 256, 256), "train.validation_interval": 10}, []),
    "v2_no_token.yaml": (
        V55,
        {"train.num_epochs": 100, "evaluate.top_k": 3},
        [("release", key, "releases differ") for key in ("model.arch", "input_image_size", "validation_interval")],
    ),
    **{
        f"v2_{name}.yaml": (V55, {}, [("release", "validation_interval", "releases differ")])
        for name in ("num_gpus", "gpu_ids", "cuda_blocking", "multi_node", "num_processes", "mpi_args", "resume")
    },
    "v2_model_name.yaml": (V60, {"train.validation_interval": 10}, [("no effect", "model_name", "")]),
    "v2_validation_interval.yaml": (V60, {"train.validation_interval": 2}, []),
    "v2_wandb_enable.yaml": (V60, {"train.wandb.project": "p"}, []),
    "v2_wandb_group.yaml": (V60, {"train.wandb.run_id": "r"}, [("no effect", "train.wandb.group", "")]),
    "v2_half_a_size_5_0.yaml": (V50, {"model.input_image_size": (3, 224, 96)}, [("warning", "input_width", "224")]),
    "v2_half_a_size_5_5.yaml": (V55, {"model.input_image_size": (3, 256, 96)}, [("warning", "input_width", "256")]),
    "v2_words_of_documents.yaml": (
        V55,
        {"export.data_type": "fp16", "inference.model_path": "m.tlt", "export.cal_image_dir": ["e"]},
        [("no effect", "verbose", "")],
    ),
    "v2_activation_b1.yaml": (V55, {"model.activation_type": "relu"}, []),
    "v2_activation_b0.yaml": (V55, {"model.activation_type": None}, [("no effect", "activation_type", "")]),
    "v2_activation_resnet.yaml": (V55, {"model.activation_type": None}, [("no effect", "activation_type", "")]),
    "v2_dropout.yaml": (V55, {"model.dropout": 0}, [("no effect", "dropout", "")]),
    "v2_no_batch_norm_of_mobilenet.yaml": (V55, {"model.use_batch_norm": False}, []),
    "v2_notebook.yaml": (
        V55,
        {"train.num_epochs": 80, "data.preprocess_mode": "torch", "prune.threshold": 0.68, "evaluate.batch_size": 256},
        [("release", "validation_interval", "releases differ"), ("warning", "key", "not encrypted")],
    ),
    "v2_retrain_of_the_notebook.yaml": (
        V55,
        {
            "retrain.qat": True,
            "export.engine_data_type": "int8",
            "export.batches": 10,
            "export.batch_size": 16,
            "export.max_workspace_size": 4,
            "results_dir": None,
        },
        [("warning", "results_dir", "placeholder")],
    ),
    "v2_byom.yaml": (V55, {"model.byom_model": "BYOMMODEL"}, [("no effect", "model.use_pooling", "")]),
    "api_tf2_5_0.json": (
        V50,
        {"train.gpus": 2, f"{REG}.weight_decay": 5e-5, "model.activation_type": None, f"{LR}.scheduler": "cosine"},
        [("no effect", "version", ""), ("no effect", "automl_default_parameters", "")],
    ),
    "api_tf2_5_5.json": (V55, {"train.num_epochs": 50, "train.checkpoint_interval": 5}, []),
    "api_tabs.json": (V55, {"train.num_epochs": 9}, []),
    "api_tf1.json": (
        TF1,
        {
            "model.resize_interpolation_method": "bicubic",
            "data.image_mean": [103.9, 116.7, 123.6],
            f"{LR}.annealing_points": [0.3, 0.6],
            f"{OPTIM}.momentum": 0.9,
        },
        [("no effect", "use_amp", ""), ("no effect", "training_config", "")],
    ),
    "api_tf1_prune.json": (
        TF1,
        {"prune.threshold": 0.6, "prune.min_num_filters": 16},
        [("no effect", "output_file", "")],
    ),
    "api_schema.json": (V55, {"train.num_epochs": 7}, []),
    "omega_missing.yaml": (V55, {"results_dir": None}, [("missing", "evaluate.dataset_path", "")]),
    "omega_references.yaml": (
        V55,
        {
            "train.checkpoint_interval": 8,
            "evaluate.model_path": "out/train/x_3.tlt",
            "inference.image_dir": "/images",
            "inference.classmap": "${plain}",
        },
        [],
    ),
    "omega_old_env.yaml": (V55, {"results_dir": "out"}, []),
    "merge_list.yaml": (
        V55,
        {"retrain.num_epochs": 4, "retrain.n_workers": 2, "retrain.reg_config.weight_decay": 0.2},
        [],
    ),
    "numbers.yaml": (
        V55,
        {
            "train.num_epochs": 64,
            "train.batch_size_per_gpu": 16,
            "train.n_workers": 8,
            "train.random_seed": 1000,
            f"{REG}.weight_decay": 1e-5,
            f"{LR}.learning_rate": 0.01,
        },
        [],
    ),
    "bools.yaml": (
        V55,
        {
            "model.use_bias": True,
            "model.use_pooling": False,
            "model.freeze_bn": True,
            "model.all_projections": True,
            "model.use_batch_norm": True,
            "model.retain_head": False,
        },
        [],
    ),
    "bool_two.yaml": (V55, {"model.use_bias": True}, []),
    "text_from_number.yaml": (V55, {"results_dir": "2024", "train.wandb.project": "7"}, []),
    "number_as_key.yaml": (V55, {}, []),
    "nulls.yaml": (V55, {"model.activation_type": None, "train.wandb.entity": None}, [("warning", "key", "")]),
    "words_for_nothing.yaml": (
        V55,
        {"prune.byom_model_path": None, "model.activation_type": None},
        [("warning", "prune.byom_model_path", "None"), ("warning", "model.activation_type", "None")],
    ),
    "no_workers.yaml": (V55, {"train.n_workers": 1, "evaluate.n_workers": 1}, [("warning", "train.n_workers", "")]),
    "kind_lists.yaml": (
        V55,
        {"model.freeze_blocks": [0], f"{REG}.scope": ["conv2d", "dense"], f"{LR}.annealing_points": [0.3, 0.6]},
        [],
    ),
    "limits.yaml": (V55, {"train.label_smoothing": 1, f"{LR}.soft_start": 1, f"{LR}.gamma": 0}, []),
    "mixup_above_one.yaml": (V55, {"augment.mixup_alpha": 1.5}, []),
    "divider_one.yaml": (V55, {f"{LR}.annealing_divider": 1}, []),
    "any_case.yaml": (V55, {f"{REG}.type": "l2", f"{REG}.scope": ["conv2d", "dense"]}, []),
    "bom.yaml": (V55, {"data.train_dataset_path": "a"}, []),
    "crlf.yaml": (V55, {"train.num_epochs": 3}, []),
    "json_in_yaml.yaml": (V55, {"train.gpus": 2}, []),
}
SAID = {
    "unknown_field.cfg": ":2: model_config.n_layer: unknown key",
    "no_end.cfg": ":2: not a text proto: no } at the end",
    "slashes.cfg": ":2: not a text proto",
    "text_as_number.cfg": ":2: train_config.n_epochs: 'eighty' must be a valid integer",
    "half_a_mean.cfg": ":2: train_config.image_mean needs b, g and r, or l",
    "vgg_without_depth.cfg": "n_layers",
    "too_deep.cfg": "200",
    "unknown_v0.yaml": ":3: train_config.n_epoch: unknown key",
    "unknown_v2.yaml": ":4: dataset.augmentation.mixup: unknown key",
    "unknown_top.yaml": ":2: x-base: unknown key",
    "dotted.yaml": ":2: train.num_epochs: unknown key",
    "case_of_keys.yaml": ":2: Train: unknown key",
    "unknown.json": ":3: train.epochs: unknown key",
    "twice.yaml": ":3: train appears twice",
    "two_documents.yaml": ":2: not valid YAML",
    "tab.yaml": ":3: not valid YAML",
    "python_tag.yaml": ":3: ",
    "both_keys.yaml": ":2: encryption_key and key are the same thing",
    "both_backbones.yaml": ":3: model.backbone and model.arch are the same thing",
    "both_sizes.yaml": ":3: model.input_width and model.input_image_size are the same thing",
    "real_for_integer.yaml": ":4: train.num_epochs: '1e2' must be",
    "decimal_comma.yaml": ":4: train.label_smoothing: '0,5' must be",
    "float_suffix.yaml": ":4: train.label_smoothing: '5e-5f' must be",
    "unknown_reference.yaml": ":3: results_dir: there is no key nothing.here",
    "reference_to_missing.yaml": ":3: train.checkpoint: results_dir has no value (???)",
    "reference_to_itself.yaml": "refers to itself",
    "unset_variable.yaml": ":3: results_dir: the environment variable NOT_SET_ANYWHERE is not set",
    "placeholder_key.yaml": ":2: key: the value is a placeholder",
    "documents_key.yaml": ":2: encryption_key: the value is a placeholder",
    "interpolation.yaml": ":4: model.resize_interpolation_method: 'lanczos' must be",
    "no_such_release.yaml": ":2: tao: '3.0' is no release",
    **dict.fromkeys(("pytorch_4.yaml", "pytorch_5_3.yaml", "pytorch_6.yaml", "pytorch.json"), "classification_pyt"),
}


def written(folder, name, text):
    (folder / name).write_bytes(text.encode())
    return folder / name


def at(spec, path):
    for name in path.split("."):
        spec = getattr(spec, name)
    return spec


def release(spec):
    return next(notice.text for notice in spec.notices if notice.kind == "release")


def has(spec, kind, key, text):
    return any(n.kind == kind and n.key.endswith(key) and text in n.text for n in spec.notices)


def test_every_file_has_an_expectation():
    assert set(WANTED) == set(ACCEPTED)
    assert set(SAID) == set(REFUSED)


@pytest.mark.parametrize("name", ACCEPTED)
def test_what_is_read(name, tmp_path):
    spec = load_spec(written(tmp_path, name, ACCEPTED[name]))
    wanted_release, values, notices = WANTED[name]
    assert release(spec).startswith(wanted_release)
    assert {path: at(spec, path) for path in values} == values
    assert [wanted for wanted in notices if not has(spec, *wanted)] == []


@pytest.mark.parametrize("name", ACCEPTED)
def test_conversion_keeps_the_meaning(name, tmp_path):
    path = written(tmp_path, name, ACCEPTED[name])
    new, old = load_spec(written(tmp_path, "new.yaml", converted([str(path)]))), load_spec(path)
    assert flattened(new) == flattened(old)
    assert (new.key is None, new.plain_files) == (old.key is None, old.plain_files)
    assert [notice for notice in new.notices if notice.kind == "renamed"] == []


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused(name, tmp_path):
    with pytest.raises(SpecError) as error:
        load_spec(written(tmp_path, name, REFUSED[name]))
    assert name in error.value.message
    assert SAID[name] in error.value.message
    assert error.value.hint


def test_secrets_are_not_copied(tmp_path):
    assert "hunter2" not in converted([str(written(tmp_path, "a.cfg", ACCEPTED["tf1_full.cfg"]))])
    assert "20241224" not in converted([str(written(tmp_path, "b.yaml", ACCEPTED["number_as_key.yaml"]))])


# Paths, trackers, and the calibration of one image are in a complete file only because somebody writes them out.
OF_COMPLETE_FILES = (
    "train.wandb",
    "train.clearml",
    "results_dir",
    "gen_trt_engine",
    "prune",
    "retrain",
    "data.image_mean",
    "data.num_classes",
    "evaluate.n_workers",
    "model.freeze_blocks",
    "model.n_layers",
    "export.",
    "inference.",
    "evaluate.dataset_path",
    "gpu_ids",
    "mpi_args",
    "cuda_blocking",
    "multi_node",
    "num_processes",
    "verbose",
    "train.optim_config.lr",
)


@pytest.mark.parametrize(
    ("full", "minimal"),
    [
        *((V2[f"v2_{release}_full.yaml"], V2[f"v2_{release}_minimal.yaml"]) for release in ("5_0", "5_5", "6_0")),
        (ACCEPTED["v1_full.yaml"], ACCEPTED["v1_minimal.yaml"]),
        (V0["v0_full.yaml"], V0["v0_minimal.yaml"]),
    ],
    ids=["5.0", "5.5", "6.0", "4.0", "V0"],
)
def test_a_file_with_every_default_means_the_same_as_one_without(full, minimal, tmp_path):
    complete, small = (
        {
            key: value
            for key, value in flattened(load_spec(written(tmp_path, "x.yaml", text))).items()
            if not key.startswith(OF_COMPLETE_FILES)
        }
        for text in (full, minimal)
    )
    assert complete == small


BASES = {
    Release.TF1: ("x.cfg", proto()),
    Release.V0: ("x.yaml", V0["v0_minimal.yaml"]),
    Release.TAO_4_0: ("x.yaml", f"tao: '4.0'\n{V1_MINIMAL}"),
    Release.TAO_5_0: ("x.yaml", f"tao: '5.0'\n{V2_MINIMAL}"),
    Release.TAO_5_5: ("x.yaml", f"tao: '5.5'\n{V2_MINIMAL}"),
    Release.TAO_6_0: ("x.yaml", f"tao: '6.0'\n{V2_MINIMAL}"),
}
# So that no option of the model is one that the default network lacks.
MODEL = {
    Release.TF1: "",
    Release.V0: "model_config: {arch: resnet, n_layers: 18}\n",
    Release.TAO_4_0: "model: {arch: resnet, n_layers: 18}\n",
    **dict.fromkeys((Release.TAO_5_0, Release.TAO_5_5, Release.TAO_6_0), "model: {backbone: resnet_18}\n"),
}
OWN = flattened(Spec.model_validate({"prune": {}}))
ROWS = [(release, path) for release in BASES for path in DEFAULTS[release]]


@pytest.fixture(scope="module")
def minimal(tmp_path_factory):
    """The spec of a release's smallest file, and the values of its conversion."""
    folder = tmp_path_factory.mktemp("minimal")

    @lru_cache
    def read(release, model, prunes):
        name, text = BASES[release]
        text = text.replace('preprocess_mode: "torch"', "").replace("gamma: 0.1", "").replace("momentum: 0.9", "")
        path = written(folder, name, text + (MODEL[release] if model else ""))
        overrides = ["prune.model_path=m.tlt"] if prunes else []
        return load_spec(path, overrides), yaml.safe_load(converted([str(path)], overrides))

    return read


@pytest.mark.parametrize(("release", "path"), ROWS)
def test_a_key_that_is_absent_has_its_releases_default(release, path, minimal):
    spec, values = minimal(release, path != "model.arch", path.startswith("prune."))
    value, default = at(spec, path), DEFAULTS[release][path]
    assert (list(value) if isinstance(value, tuple) else value) == default
    if OWN.get(path) != default:
        for part in path.split("."):
            values = values[part]
        assert values == default
