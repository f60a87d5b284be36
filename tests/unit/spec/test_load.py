"""The spec: three vintages, ranges, and errors a person can act on."""

import pytest
from secateur.errors import SpecError
from secateur.spec import PruneSpec, load_spec, parse_spec


def mistake(text: str) -> SpecError:
    with pytest.raises(SpecError) as error:
        parse_spec(text, "my.yaml")
    return error.value


def test_the_specifications_sample_is_read_as_it_is(repository):
    spec = load_spec(repository / "config/specs/specification-sample.yaml")
    assert spec.model.arch == "efficientnet-b0"
    assert spec.model.input_image_size == (3, 256, 256)
    assert spec.train.num_epochs == spec.retrain.num_epochs == 80
    assert spec.train.reg_config.type == "l2"
    assert spec.train.pretrained_model_path is None, "PRUNEDMODEL belongs to retrain"
    assert spec.prunes


def test_defaults_are_the_specifications():
    spec = parse_spec("prune: {}")
    assert spec.data.preprocess_mode == "torch"
    assert (spec.augment.enable_random_crop, spec.augment.enable_color_augmentation) == (True, True)
    assert spec.augment.mixup_alpha == 0.2
    assert (spec.train.batch_size_per_gpu, spec.train.num_epochs, spec.train.checkpoint_interval) == (32, 120, 1)
    assert (spec.train.n_workers, spec.train.label_smoothing, spec.train.qat) == (10, 0.1, False)
    optimizer = spec.train.optim_config
    assert (optimizer.momentum, optimizer.nesterov, optimizer.beta_1, optimizer.beta_2) == (0.9, False, 0.9, 0.999)
    assert optimizer.epsilon == 1e-7
    assert (spec.evaluate.top_k, spec.evaluate.batch_size, spec.evaluate.n_workers) == (5, 256, 8)
    assert (spec.prune.normalizer, spec.prune.equalization_criterion) == ("max", "union")
    assert (spec.prune.granularity, spec.prune.min_num_filters) == (8, 16)


def test_v2_words_are_translated_and_reported():
    spec = parse_spec(
        """
encryption_key: secret
data_format: channels_last
num_gpus: 2
dataset: {train_dataset_path: a, val_dataset_path: b, num_classes: 4, augmentation: {mixup_alpha: 0}}
model: {backbone: resnet_18, input_channels: 1, input_height: 64, input_width: 48, use_batch_norm: True}
train: {checkpoint: start.tlt, num_epochs: 3}
evaluate: {checkpoint: x.tlt}
prune: {checkpoint: y.tlt, threshold: 0.5}
export: {checkpoint: z.tlt, onnx_file: out/m.onnx}
gen_trt_engine: {onnx_file: m.onnx}
"""
    )
    assert spec.key.get_secret_value() == "secret"
    assert spec.data.train_dataset_path == "a"
    assert spec.augment.mixup_alpha == 0
    assert (spec.model.arch, spec.model.input_image_size) == ("resnet_18", (1, 64, 48))
    assert (spec.train.gpus, spec.train.batch_size) == (2, 2 * spec.train.batch_size_per_gpu)
    assert (spec.train.pretrained_model_path, spec.evaluate.model_path) == ("start.tlt", "x.tlt")
    assert (spec.prune.model_path, spec.export.model_path) == ("y.tlt", "z.tlt")
    assert (spec.export.output_path, spec.export.layout) == ("out/m.onnx", "nhwc")
    renamed = {notice.key for notice in spec.notices if notice.kind == "renamed"}
    assert {"dataset", "model.backbone", "train.checkpoint", "export.onnx_file", "dataset.augmentation"} <= renamed


def test_v0_words_are_translated():
    spec = parse_spec(
        """
train_config: {train_dataset_path: a, val_dataset_path: b, n_epochs: 7, preprocess_mode: caffe, mixup_alpha: 0.1}
model_config: {arch: resnet, n_layers: 18, input_image_size: "3,32,40"}
eval_config: {eval_dataset_path: c, top_k: 2}
prune_config: {pruning_threshold: 0.3, pruning_granularity: 4}
"""
    )
    assert (spec.train.num_epochs, spec.data.preprocess_mode, spec.augment.mixup_alpha) == (7, "caffe", 0.1)
    assert (spec.model.arch, spec.model.input_image_size) == ("resnet_18", (3, 32, 40))
    assert (spec.evaluate.dataset_path, spec.prune.threshold, spec.prune.granularity) == ("c", 0.3, 4)


def test_the_same_thing_twice_is_an_error():
    error = mistake("model: {arch: resnet_18, backbone: resnet_34}")
    assert "model.backbone and model.arch are the same thing" in error.message


def test_unknown_key_names_line_and_nearest():
    error = mistake("key: x\ntrain:\n  num_epochs: 3\n  lr_confg: {}\n")
    assert error.message == "my.yaml:4: train.lr_confg: unknown key"
    assert error.hint == "did you mean train.lr_config?"


def test_misplaced_key_names_its_section():
    assert mistake("model: {num_epochs: 3}").hint == "did you mean train.num_epochs?"


def test_errors_use_the_words_of_the_file():
    assert (
        "my.yaml:1: dataset.augmentation.mixup_alpha" in mistake("dataset: {augmentation: {mixup_alpha: -1}}").message
    )


def test_all_mistakes_at_once():
    error = mistake("train: {num_epochs: 0, batch_size_per_gpu: -1}\nprune: {granularity: 0}")
    assert error.message.count("my.yaml") == 3


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("model: {arch: resnet_19}", "did you mean 'resnet_18'?"),
        ("model: {arch: byom}", "belong together"),
        ("model: {arch: resnet_18, byom_model: m.tltb}", "belong together"),
        ("model: {arch: resnet_18, n_layers: 34}", "contradict"),
        ("data_format: [1]", "use channels_first or channels_last"),
        ("model: {input_image_size: '3,8,8'}", "16 to"),
        ("model: {input_image_size: [2, 32, 32]}", "channels must be 1 or 3"),
        ("model: {input_image_depth: 16}", "needs input_image_size with 1 channel"),
        ("train: {lr_config: {learning_rate: .nan}}", "finite"),
        ("train: {lr_config: {scheduler: soft_anneal, annealing_points: [0.5, 0.3]}}", "ascend"),
        ("train: {lr_config: {scheduler: soft_anneal, soft_start: 0.5}}", "below the first annealing point"),
        ("train: {reg_config: {scope: [conv3d]}}", "'conv2d' or 'dense'"),
        ("export: {output_path: model.bin}", ".onnx"),
        ("export: {data_type: int4}", "'fp32', 'fp16' or 'int8'"),
        ("export: {targets: [tflite]}", "set output_path to an .onnx file"),
        ("export: {max_batch_size: 2, opt_batch_size: 4}", "must ascend"),
        ("gen_trt_engine: {tensorrt: {max_workspace: 4}}", "unknown key"),
        ("data: {split: {train: 0.9, val: 0.3}}", "must be 1"),
        ("data: {image_mean: [1, 2]}", "3 values"),
        ("train: 3", "section of keys"),
        ("retrain: {num_epochs: 1}", "needs a prune section"),
    ],
)
def test_what_is_refused(text, said):
    assert said in str(mistake(text))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[1]",
        "a: {",
        "a: 1\na: 2",
        "\t: x",
        "x: !!python/object/apply:os.system [ls]",
        "a: &a [*a]",
        b"\xff\xfe\x00",
    ],
)
def test_bad_yaml_is_one_spec_error(text):
    with pytest.raises(SpecError):
        parse_spec(text)


def test_billion_laughs_is_refused():
    levels = "\n".join(f"l{n}: &l{n} [" + ", ".join([f"*l{n - 1}"] * 10) + "]" for n in range(1, 10))
    assert "more than" in mistake(f"l0: &l0 x\n{levels}").message


def test_what_has_no_effect_is_said():
    spec = parse_spec("train: {optim_config: {lr: 0.1}}\nmodel: {use_batch_norm: False}\nverbose: True")
    silent = {notice.key for notice in spec.notices if notice.kind == "no effect"}
    assert silent == {"train.optim_config.lr", "model.use_batch_norm", "verbose"}


def test_public_default_key_is_warned_of_and_no_key_is_shown():
    spec = parse_spec("key: nvidia_tlt")
    assert any(notice.key == "key" for notice in spec.notices)
    assert "nvidia_tlt" not in repr(spec) + spec.model_dump_json() + "".join(map(str, spec.notices))


def test_key_stays_out_of_errors():
    assert "hunter2" not in str(mistake("key: [hunter2]\ntrain: {num_epochs: x}"))


def test_retrain_inherits_from_train():
    spec = parse_spec(
        "train: {num_epochs: 9, pretrained_model_path: p.tlt, lr_config: {learning_rate: 0.1, scheduler: step}}\n"
        "prune: {threshold: 0.5}\nretrain: {lr_config: {learning_rate: 0.01}}"
    )
    assert (spec.retrain.num_epochs, spec.retrain.lr_config.scheduler) == (9, "step")
    assert (spec.retrain.lr_config.learning_rate, spec.retrain.pretrained_model_path) == (0.01, None)


def test_an_empty_prune_section_prunes_with_the_defaults():
    assert parse_spec("prune:").prune == PruneSpec()
    assert parse_spec("train: {}").prune is None


def test_overrides_replace_what_the_file_says(tmp_path):
    (tmp_path / "s.yaml").write_text("train: {num_epochs: 9}")
    spec = load_spec(tmp_path / "s.yaml", ["train.num_epochs=3", "prune.threshold=0.5"])
    assert (spec.train.num_epochs, spec.prune.threshold) == (3, 0.5)
    with pytest.raises(SpecError, match=r"section\.key=value"):
        load_spec(tmp_path / "s.yaml", ["nonsense"])


def test_enums_are_case_folded():
    spec = parse_spec(
        "model: {resize_interpolation_method: BICUBIC}\nprune: {normalizer: l2}\ndata: {preprocess_mode: TF}"
    )
    assert spec.model.resize_interpolation_method == "bicubic"
    assert (spec.prune.normalizer, spec.data.preprocess_mode) == ("L2", "tf")


def test_specs_are_frozen():
    with pytest.raises(ValueError):
        PruneSpec().threshold = 1


# Every spelling that specs of any vintage use.
SPELLINGS = {
    "vgg_16": ["vgg16", "VGG-16", "vgg_16"],
    "mobilenet_v2": ["mobilenet_v2", "MobileNetV2", "mobilenet-v2"],
    "cspdarknet_tiny": ["cspdarknet_tiny", "cspdarknet-tiny", "CSPDarkNet_Tiny"],
    "darknet_53": ["darknet53", "darknet_53"],
    "efficientnet-b0": ["efficientnet_b0", "efficientnetb0", "EfficientNet-B0"],
    "resnet_18": ["resnet18", "resnet_18", "ResNet-18"],
}


@pytest.mark.parametrize(("arch", "spelling"), [(arch, text) for arch, texts in SPELLINGS.items() for text in texts])
def test_spellings_of_an_arch(arch, spelling):
    assert parse_spec(f"model: {{arch: {spelling}}}").model.arch == arch


@pytest.mark.parametrize(("family", "depth"), [("resnet", 50), ("vgg", 19), ("darknet", 19), ("cspdarknet", 53)])
def test_depth_beside_the_family(family, depth):
    assert parse_spec(f"model: {{arch: {family}, n_layers: {depth}}}").model.arch == f"{family}_{depth}"


@pytest.mark.parametrize(
    ("model", "option", "said"),
    [
        ("{arch: efficientnet-b0, use_pooling: True}", "use_pooling", "part of the network"),
        ("{arch: efficientnet-b0, all_projections: True}", "all_projections", "identities"),
        ("{arch: squeezenet, use_batch_norm: True}", "use_batch_norm", "it has no batch normalisation"),
        ("{arch: alexnet, freeze_bn: True}", "freeze_bn", "it has no batch normalisation"),
        ("{arch: resnet_18, dropout: 0.5}", "dropout", "VGG and SqueezeNet only"),
        ("{arch: vgg_16, all_projections: True}", "all_projections", "no shortcuts"),
        ("{backbone: byom, byom_model: m.tltb, use_bias: True}", "use_bias", "as it is in its file"),
    ],
)
def test_an_option_that_the_family_lacks_is_a_notice(model, option, said):
    spec = parse_spec(f"key: x\nmodel: {model}")
    (notice,) = [notice for notice in spec.notices if notice.key == f"model.{option}" and notice.kind == "no effect"]
    assert said in notice.text
    assert getattr(spec.model, option) in (False, 0), "the spec says what the network does"


@pytest.mark.parametrize(
    ("model", "said"),
    [
        ("{arch: darknet_53, padding: symmetric}", "its padding"),
        ("{arch: byom, byom_model: m.tltb, freeze_blocks: [1]}", "no numbered blocks"),
    ],
)
def test_an_own_option_that_the_family_lacks_is_refused(model, said):
    error = mistake(f"key: x\nmodel: {model}")
    assert said in error.message
    assert error.message.startswith("my.yaml:2: model.")
    assert error.hint == "remove the key"


@pytest.mark.parametrize(
    "model",
    [
        "{arch: efficientnet-b0, use_batch_norm: True, use_pooling: False, dropout: 0.0}",
        "{arch: alexnet, use_bias: True, use_batch_norm: False, freeze_blocks: [1]}",
        "{arch: vgg_16, dropout: 0.5, use_pooling: True}",
        "{arch: byom, byom_model: m.tltb, freeze_blocks: [], freeze_bn: True}",
    ],
)
def test_what_the_network_does_anyway_is_accepted_without_a_word(model):
    assert not [notice for notice in parse_spec(f"model: {model}").notices if notice.kind == "no effect"]


def test_the_typical_values_of_the_specification_pass_with_a_word():
    notices = parse_spec("model: {arch: efficientnet-b0, use_batch_norm: False}").notices
    assert "it always has batch normalisation" in str([str(notice) for notice in notices])


PRUNED = "key: env:K\nprune: {%s}\n"


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ("threshold: 0.5, target_macs: 0.5", "write only one of threshold, target_macs"),
        ("threshold: 0, target_macs: 0.5", "write only one of threshold, target_macs"),
        ("target_params: 0.5, target_size_mb: 3", "write only one of target_params, target_size_mb"),
        ("threshold: null", "write threshold or one of target_macs"),
        ("steps: 2", "steps: 2 needs one of target_macs"),
        ("target_macs: 0", "target_macs"),
        ("target_latency_ms: -1", "target_latency_ms"),
        ("target_macs: 0.5, importance: magic", "importance"),
        ("target_macs: 0.5, ranking: local", "ranking"),
    ],
)
def test_prune_asks_for_one_thing(section, message):
    with pytest.raises(SpecError, match=message):
        parse_spec(PRUNED % section)


def test_a_target_stands_alone_in_what_check_prints():
    spec = parse_spec(PRUNED % "target_macs: 0.5")
    assert (spec.prune.threshold, spec.prune.budget) == (None, "target_macs")
    assert parse_spec("key: env:K\nprune:\n").prune.threshold == 0.1


def test_an_override_of_the_goal_takes_the_place_of_the_others(tmp_path):
    path = tmp_path / "spec.yaml"
    path.write_text(PRUNED % "threshold: 0.5")
    assert load_spec(path, ["prune.target_macs=0.5"]).prune.budget == "target_macs"
    assert load_spec(path, ["prune.target_macs=0.5", "prune.threshold=0.3"]).prune.threshold == 0.3
    with pytest.raises(SpecError, match="unknown key"):
        load_spec(path, ["train.distill.alpha=0.5"])


def test_distill_is_of_retraining():
    spec = parse_spec("key: env:K\nprune:\nretrain: {distill: {alpha: 0.3}}\n")
    assert (spec.retrain.distill.alpha, spec.retrain.distill.temperature) == (0.3, 4.0)
    assert spec.retrain.num_epochs == spec.train.num_epochs
    with pytest.raises(SpecError, match="alpha"):
        parse_spec("key: env:K\nprune:\nretrain: {distill: {alpha: 0}}\n")


@pytest.mark.parametrize(
    ("model", "prune", "said"),
    [
        ("{arch: mobilenet_v2, use_batch_norm: True}", "{threshold: 0.5}", True),
        ("{arch: efficientnet-b0}", "{target_macs: 0.5}", True),
        ("{arch: efficientnet-b0}", "{target_macs: 0.5, ranking: layer}", False),
        ("{arch: mobilenet_v2, use_batch_norm: False}", "{threshold: 0.5}", False),
        ("{arch: resnet_18}", "{threshold: 0.5}", False),
    ],
)
def test_a_better_way_to_prune_depthwise_convolutions_is_named(model, prune, said):
    notices = [str(notice) for notice in parse_spec(f"model: {model}\nprune: {prune}").notices]
    assert any("ranking: uniform" in notice for notice in notices) is said
    spec = parse_spec(f"model: {model}\nprune: {prune}")
    assert (spec.prune.importance, spec.prune.ranking) == ("l2", "layer"), "TAO's specs mean what they mean there"


def test_folders_beside_a_source_are_said_to_be_unread():
    spec = parse_spec(
        "data: {source: photos, val_dataset_path: v}\nevaluate: {dataset_path: t}\nmodel: {arch: resnet_10}"
    )
    said = [str(notice) for notice in spec.notices if "not read" in str(notice)]
    assert said == [
        f"warning: {key}: not read: data.source names the images of all splits"
        for key in ("data.val_dataset_path", "evaluate.dataset_path")
    ]
