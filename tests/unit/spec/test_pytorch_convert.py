"""Specs of classification_pyt: what is carried over means the same, and the rest is named."""

import copy
import re

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from secateur.errors import SpecError
from secateur.spec import Spec, parse_spec
from secateur.spec.pytorch.pytorch_convert import converted_pytorch
from secateur.spec.pytorch.pytorch_forms import Era, era_of, is_pytorch, refuse_pytorch
from secateur.spec.spec_file import parse_spec_text

SIX_SMALL = """
results_dir: out
dataset:
  dataset: CLDataset
  root_dir: images
  num_classes: 4
  img_size: 64
  batch_size: 16
  train_dataset: {images_dir: images/train}
  val_dataset: {images_dir: images/val}
  augmentation: {mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225]}
model:
  backbone: {type: resnet_18, pretrained_backbone_path: ''}
  head: {type: TAOLinearHead}
train:
  num_epochs: 1
  optim: {optim: adamw, lr: 0.001}
"""
SIX_FULL = """
encryption_key: tlt_encode
results_dir: /results/pyt
model_name: mine
wandb: {enable: true, project: pets, tags: [a, b], group: g}
dataset:
  dataset: CLDataset
  root_dir: /data
  classes_file: /data/classes.txt
  num_classes: 7
  img_size: 128
  batch_size: 32
  workers: 0
  shuffle: true
  train_nolabel: {folder_path: /data/more}
  train_dataset: {images_dir: /data/train}
  val_dataset: {images_dir: /data/val}
  test_dataset: {images_dir: /data/test}
  augmentation:
    random_flip: {enable: true, hflip_probability: 0.3, vflip_probability: 0.2}
    random_rotate: {enable: false, rotate_probability: 0.5, angle_list: [90, 180]}
    random_color: {enable: true, brightness: 0.4, contrast: 0.4, saturation: 0.4, hue: 0.1}
    random_erase: {enable: true, erase_probability: 0.3}
    random_aug: {enable: false}
    with_scale_random_crop: {enable: false, scale_range: [1, 1.2]}
    with_random_crop: false
    with_random_blur: false
    mean: [0.5, 0.5, 0.5]
    std: [0.5, 0.5, 0.5]
    mixup_cutmix: true
    mixup_alpha: 0.6
model:
  backbone:
    type: fan_large_16_p4_hybrid
    pretrained_backbone_path: /models/fan.pth
    freeze_backbone: true
    freeze_norm: false
  head:
    type: TAOLinearClsHead
    binary: false
    in_channels: 448
    custom_args: {head_init_scale: 1}
    topk: [1, 3]
    loss: {type: CrossEntropyLoss, label_smooth_val: 0.2}
train:
  seed: 47
  num_gpus: 4
  gpu_ids: [0, 1, 2, 3]
  num_nodes: 1
  num_epochs: 40
  checkpoint_interval: 10
  validation_interval: 2
  resume_training_checkpoint_path: null
  pretrained_model_path: /models/first.pth
  tensorboard: {enabled: true}
  enable_ema: true
  ema_decay: 0.99
  clip_grad_norm: 1.0
  precision: fp16
  optim:
    optim: sgd
    lr: 0.04
    momentum: 0.8
    weight_decay: 0.0004
    policy: cosine
    warmup_epochs: 4
    betas: [0.9, 0.99]
    monitor_name: val_loss
    skip_names: [norm, bias]
evaluate: {checkpoint: /results/model.pth, batch_size: -1, num_gpus: 1, vis_after_n_batches: 2}
inference: {checkpoint: EVALMODEL}
export:
  {checkpoint: /results/model.pth, onnx_file: /out/model.onnx, opset_version: 20, input_width: 128, batch_size: -1}
gen_trt_engine:
  trt_engine: /out/model.engine
  tensorrt:
    data_type: INT8
    workspace_size: 4096
    min_batch_size: 2
    opt_batch_size: 4
    calibration: {cal_image_dir: [/data/cal], cal_cache_file: c.bin, cal_batch_size: 8, cal_batches: 5}
distill: {loss_type: KL, loss_lambda: 0.5, teacher: {backbone: {type: fan_base_16_p4_hybrid}}}
"""
SIX_STEPS = """
dataset: {train_dataset: {images_dir: a}, val_dataset: {images_dir: b}, batch_size: 4}
model: {backbone: {type: gc_vit_xxtiny}}
train: {num_epochs: 60, optim: {optim: adam, lr: 1e-3, policy: step, policy_params: {step_size: 20, gamma: 0.5}}}
"""
SIX_MILESTONES = """
dataset: {train_dataset: {images_dir: a}, val_dataset: {images_dir: b}}
model: {backbone: {type: convnextv2_base}}
train:
  num_epochs: 30
  seed: -1
  checkpoint_interval: 100
  checkpoint_interval_unit: step
  optim: {policy: multistep, warmup_epochs: 3, policy_params: {milestones: [10, 20, 90], gamma: 0.1}}
"""
SIX_MINIMAL = "model: {backbone: {type: vit_large_patch14_dinov2_swiglu}}"
MMCLS_FULL = """
results_dir: /results
dataset:
  img_norm_cfg: {mean: [123.675, 116.28, 103.53], std: [58.395, 57.12, 57.375], to_rgb: true}
  sampler: {type: RepeatAugSampler}
  data:
    samples_per_gpu: 128
    workers_per_gpu: 8
    train:
      data_prefix: /imagenet/train
      classes: /imagenet/classes.txt
      pipeline:
        - {type: RandomResizedCrop, size: 192, backend: pillow}
        - {type: RandomFlip, flip_prob: 0.5, direction: horizontal}
        - {type: ColorJitter, brightness: 0.4, contrast: 0.4, saturation: 0.4}
        - {type: RandomErasing, erase_prob: 0.3}
    val: {data_prefix: /imagenet/val, ann_file: null, pipeline: [{type: Resize, size: [256, -1]}]}
    test:
      data_prefix: /imagenet/test
      pipeline: [{type: Resize, size: [224, -1]}, {type: CenterCrop, crop_size: 192}]
model:
  backbone: {type: fan_tiny_8_p4_hybrid, custom_args: {drop_path_rate: 0.1}}
  head:
    type: FANLinearClsHead
    num_classes: 1000
    custom_args: {head_init_scale: 1}
    loss: {type: LabelSmoothLoss, label_smooth_val: 0.1, mode: original}
    topk: [1, 5]
  init_cfg: {checkpoint: /models/fan.pth, prefix: backbone}
  train_cfg:
    augments:
      - {type: BatchMixup, alpha: 0.8, num_classes: 1000, prob: 0.5}
      - {type: BatchCutMix, alpha: 1.0, num_classes: 1000, prob: 0.5}
train:
  num_gpus: 2
  exp_config: {manual_seed: 49, MASTER_PORT: 700}
  train_config:
    runner: {max_epochs: 300}
    checkpoint_config: {interval: 5, by_epoch: true}
    logging: {interval: 5000}
    validate: true
    evaluation: {interval: 10, metric: accuracy}
    custom_hooks: [{type: EMAHook, momentum: 0.00008, priority: ABOVE_NORMAL}]
    lr_config: {policy: CosineAnnealingCooldown, min_lr: 5.0e-06, cool_down_time: 10, warmup: linear,
      warmup_iters: 20, warmup_by_epoch: true}
    optimizer: {type: AdamW, lr: 0.005, weight_decay: 0.05, betas: [0.9, 0.98], eps: 1e-7}
    optimizer_config: {grad_clip: {max_norm: 5.0}}
evaluate: {checkpoint: /results/latest.pth, topk: 2, batch_size: 8}
export: {onnx_file: /out/m.onnx, opset_version: 12, verify: true, input_width: 192, input_height: 192}
gen_trt_engine: {tensorrt: {data_type: fp16}}
"""
MMCLS_MINIMAL = """
dataset: {data: {train: {data_prefix: a}, val: {data_prefix: b}}}
model: {backbone: {type: resnet_50}, head: {num_classes: 3}}
train: {train_config: {lr_config: {policy: CosineAnnealing}}}
"""
MMPRETRAIN = """
dataset:
  data:
    samples_per_gpu: 512
    workers_per_gpu: 8
    train:
      data_prefix: ???
      pipeline:
        - {type: RandomResizedCrop, scale: 224}
        - {type: RandomFlip, prob: 0.0, direction: horizontal}
    val: {data_prefix: v}
    test: {data_prefix: t, pipeline: [{type: Resize, scale: 224}]}
  pin_memory: true
train:
  exp_config: {manual_seed: 49}
  train_config:
    runner: {max_epochs: 40, auto_scale_lr_bs: 1024}
    lr_config: {type: MultiStepLR, milestones: [10, 30], gamma: 0.2, by_epoch: true}
    optimizer: {type: SGD, lr: 10e-3, momentum: 0.9, nesterov: true, weight_decay: 0}
model:
  backbone: {type: open_clip, custom_args: {model_name: ViT-B-32}, freeze: true, pretrained: laion}
  head: {type: LogisticRegressionHead, num_classes: 2, lr_head: {C: 0.316, max_iter: 5000}}
"""
MMPRETRAIN_ODD = """
dataset: {data: {train: {pipeline: [{type: LoadImageFromFile}, {type: RandomFlip, direction: vertical},
  {type: AutoAugment, policies: imagenet}]}}, img_norm_cfg: {mean: [100, 100, 100], to_rgb: false}}
train:
  train_config:
    validate: false
    optim_wrapper: {optimizer: {type: LAMB, lr: 0.0001}}
    lr_config: {type: PolyLR, eta_min: 0.001, begin: 5}
    paramwise_cfg: {norm: {decay_mult: 0}}
model: {backbone: {type: mit_b3}}
unknown: {words: {a: 1}}
"""
EXAMPLES = {
    "six_small": SIX_SMALL,
    "six_full": SIX_FULL,
    "six_steps": SIX_STEPS,
    "six_milestones": SIX_MILESTONES,
    "six_minimal": SIX_MINIMAL,
    "mmcls_full": MMCLS_FULL,
    "mmcls_minimal": MMCLS_MINIMAL,
    "mmpretrain": MMPRETRAIN,
    "mmpretrain_odd": MMPRETRAIN_ODD,
}


def convert(text, arch=None):
    """The text of the new spec, and the spec that it loads as."""
    new = converted_pytorch(parse_spec_text(text, "mine.yaml"), arch)
    return new, parse_spec(new, "new.yaml")


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_result_loads_and_is_no_spec_of_classification_pyt(name):
    text, spec = convert(EXAMPLES[name])
    assert isinstance(spec, Spec)
    assert not is_pytorch(yaml.safe_load(text))
    assert re.match(r"# Converted from mine.yaml, a spec of classification_pyt \(TAO [\w. ]+\)\.\n", text)


@pytest.mark.parametrize(
    ("name", "era"),
    [(name, Era.LIGHTNING) for name in EXAMPLES if name.startswith("six")]
    + [(name, Era.MMCLS) for name in EXAMPLES if name.startswith("mmcls")]
    + [(name, Era.MMPRETRAIN) for name in EXAMPLES if name.startswith("mmpretrain")],
)
def test_the_release_is_known_by_its_words(name, era):
    values = yaml.safe_load(EXAMPLES[name])
    assert is_pytorch(values)
    assert era_of(values) is era


def leaves(value, path=""):
    if isinstance(value, dict) and value:
        for name, inner in value.items():
            yield from leaves(inner, f"{path}.{name}" if path else name)
    elif isinstance(value, list) and any(isinstance(part, dict) for part in value):
        for index, inner in enumerate(value):
            yield from leaves(inner, f"{path}.{index}")
    else:
        yield path, value


def changed(value):
    if isinstance(value, bool):
        return not value
    if isinstance(value, int | float):
        return value + (7 if isinstance(value, int) else 7.5)
    if isinstance(value, list):
        return [changed(value[0]), *value[1:]] if value else [1]
    return "fp16" if value == "INT8" else "cosine" if value == "step" else f"x{value}"


def named(text):
    """The keys that the comments name with their line."""
    return set(re.findall(r"(\S+) \(line \d+\)", "\n".join(re.findall("^#.*$", text, re.MULTILINE))))


@pytest.mark.parametrize("name", EXAMPLES)
def test_every_value_is_carried_over_or_named(name):
    values = yaml.safe_load(EXAMPLES[name])
    text, _ = convert(EXAMPLES[name])
    known = named(text)
    same = convert(yaml.safe_dump(values, sort_keys=False))[0]
    for path, value in leaves(values):
        parts = path.split(".")
        if known & {".".join(parts[: count + 1]) for count in range(len(parts))}:
            continue
        other = copy.deepcopy(values)
        holder = other
        for part in parts[:-1]:
            holder = holder[int(part)] if isinstance(holder, list) else holder[part]
        holder[parts[-1]] = changed(value)
        try:
            assert convert(yaml.safe_dump(other, sort_keys=False))[0] != same, path
        except SpecError as error:
            assert path in str(error)


def test_a_small_spec_of_6():
    text, spec = convert(SIX_SMALL)
    assert (spec.model.arch, spec.model.input_image_size, spec.model.use_batch_norm) == ("resnet_18", (3, 64, 64), True)
    assert (spec.data.train_dataset_path, spec.data.val_dataset_path) == ("images/train", "images/val")
    assert (spec.data.num_classes, spec.data.preprocess_mode) == (4, "torch")
    assert (spec.train.batch_size_per_gpu, spec.train.num_epochs, spec.train.n_workers) == (16, 1, 8)
    assert (spec.train.random_seed, spec.train.label_smoothing) == (1234, 0.0)
    assert (spec.train.optim_config.optimizer, spec.train.lr_config.learning_rate) == ("adam", 0.001)
    assert spec.train.reg_config.type == "none"
    assert (spec.augment.mixup_alpha, spec.augment.enable_center_crop) == (0.0, False)
    assert (spec.evaluate.top_k, spec.export.target_opset, spec.key) == (1, 17, None)
    assert "key: none" in text
    assert "# not carried over: dataset.dataset (line 4): CLDataset: images are in class folders" in text
    assert "# without a value: model.backbone.pretrained_backbone_path (line 13)" in text


def test_a_full_spec_of_6():
    text, spec = convert(SIX_FULL)
    assert "tlt_encode" not in text
    assert yaml.safe_load(text)["key"] == "env:SECATEUR_KEY"
    assert spec.model.arch == "efficientnet-b4"
    assert (
        "# model.backbone.type fan_large_16_p4_hybrid has no counterpart; efficientnet-b4 is proposed: --arch" in text
    )
    assert (spec.data.preprocess_mode, spec.augment.mixup_alpha) == ("tf", 0.6)
    assert (spec.augment.enable_random_crop, spec.augment.enable_color_augmentation) == (False, True)
    assert (spec.train.gpus, spec.train.lr_config.learning_rate) == (4, 0.01)
    assert (spec.train.lr_config.scheduler, spec.train.lr_config.soft_start) == ("cosine", 0.1)
    assert spec.train.lr_config.min_lr_ratio == 0.0
    assert (spec.train.optim_config.optimizer, spec.train.optim_config.momentum) == ("sgd", 0.8)
    assert (spec.train.reg_config.type, spec.train.reg_config.weight_decay) == ("l2", 0.0002)
    assert (spec.train.checkpoint_interval, spec.train.validation_interval) == (10, 2)
    assert (spec.train.n_workers, spec.train.random_seed, spec.train.label_smoothing) == (1, 47, 0.2)
    assert (spec.train.wandb.project, spec.train.wandb.tags) == ("pets", ["a", "b"])
    assert (spec.evaluate.dataset_path, spec.evaluate.top_k, spec.evaluate.batch_size) == ("/data/test", 3, 32)
    assert (spec.evaluate.model_path, spec.inference.model_path) == (None, "EVALMODEL")
    assert spec.inference.image_dir == "/data/test"
    assert (spec.export.output_path, spec.export.target_opset) == ("/out/model.onnx", 18)
    assert (spec.export.engine_file, spec.export.engine_data_type) == ("/out/model.engine", "int8")
    assert (spec.export.max_workspace_size, spec.export.cal_image_dir) == (4.0, ["/data/cal"])
    assert (spec.export.min_batch_size, spec.export.opt_batch_size, spec.export.max_batch_size) == (2, 4, 4)
    assert spec.export.calibration_images == 40
    assert "# off in the file, without a counterpart here: dataset.augmentation.random_rotate (line" in text
    assert "# not carried over: distill (line" in text


def test_steps_of_6():
    _, spec = convert(SIX_STEPS)
    rates = spec.train.lr_config
    assert (rates.scheduler, rates.soft_start, rates.learning_rate) == ("soft_anneal", 0.0, 0.001)
    assert (rates.annealing_points, rates.annealing_divider) == ([0.333333, 0.666667], 2.0)
    assert spec.train.reg_config.weight_decay == 0.005  # the default decay 0.01 is an L2 penalty with adam
    assert spec.train.batch_size_per_gpu == 4


def test_milestones_of_6():
    text, spec = convert(SIX_MILESTONES)
    assert spec.train.lr_config.annealing_points == [0.333333, 0.666667]
    assert (spec.train.random_seed, spec.train.checkpoint_interval) == (42, 1)
    assert "# not carried over: train.optim.warmup_epochs (line 9): 3:" in text
    assert "# not carried over: train.checkpoint_interval (line 7): 100:" in text


def test_a_full_spec_of_mmcls():
    text, spec = convert(MMCLS_FULL)
    assert (spec.data.train_dataset_path, spec.evaluate.dataset_path) == ("/imagenet/train", "/imagenet/test")
    assert (spec.data.num_classes, spec.model.input_image_size) == (1000, (3, 192, 192))
    assert (spec.model.arch, spec.augment.mixup_alpha) == ("efficientnet-b0", 0.8)
    assert (spec.augment.enable_center_crop, spec.augment.enable_color_augmentation) == (True, True)
    assert (spec.train.batch_size_per_gpu, spec.train.gpus, spec.train.num_epochs) == (128, 2, 300)
    assert (spec.train.checkpoint_interval, spec.train.validation_interval) == (5, 10)
    rates = spec.train.lr_config
    assert (rates.learning_rate, rates.min_lr_ratio, rates.soft_start) == (0.0025, 0.001, 0.0666667)
    optimizer = spec.train.optim_config
    assert (optimizer.optimizer, optimizer.beta_2, optimizer.epsilon) == ("adam", 0.98, 1e-7)
    assert (spec.evaluate.top_k, spec.evaluate.batch_size, spec.export.target_opset) == (2, 8, 13)
    assert spec.wants_engine
    assert spec.engine_type == "fp16"
    assert "RandomErasing: no part of an image is erased" in text
    assert "BatchCutMix" in text


def test_defaults_of_mmcls():
    """Its default last rate is its default base rate: a constant rate after a warm-up of 5 of 20 epochs."""
    _, spec = convert(MMCLS_MINIMAL)
    rates = spec.train.lr_config
    assert (spec.model.arch, spec.train.num_epochs, spec.train.batch_size_per_gpu) == ("resnet_50", 20, 1)
    assert (rates.learning_rate, rates.soft_start, rates.min_lr_ratio) == (0.001, 0.25, 1.0)
    assert (spec.augment.enable_random_crop, spec.augment.enable_color_augmentation) == (True, False)


def test_a_spec_of_mmpretrain():
    text, spec = convert(MMPRETRAIN)
    assert spec.data.train_dataset_path is None
    assert "# without a value: dataset.data.train.data_prefix (line 7)" in text
    assert (spec.augment.disable_horizontal_flip, spec.augment.enable_center_crop) == (True, False)
    rates = spec.train.lr_config
    assert (rates.scheduler, rates.annealing_points, rates.annealing_divider) == ("soft_anneal", [0.25, 0.75], 5.0)
    assert (spec.train.optim_config.optimizer, spec.train.optim_config.nesterov) == ("sgd", True)
    assert (rates.learning_rate, spec.train.reg_config.type) == (0.01, "none")


def test_words_without_a_counterpart():
    text, spec = convert(MMPRETRAIN_ODD)
    assert (spec.augment.disable_horizontal_flip, spec.augment.enable_random_crop) == (True, False)
    assert spec.train.lr_config.min_lr_ratio == 1.0
    for words in ("LAMB: it has no counterpart", "PolyLR: the rate falls", "AutoAugment", "unknown.words.a (line 11)"):
        assert words in text
    assert "# not carried over: train.train_config.validate (line 6): false: validation_interval says when" in text


@pytest.mark.parametrize(
    ("backbone", "arch", "expected"),
    [
        ("resnet_101", None, "resnet_101"),
        ("resnet34", None, "resnet_34"),
        ("fan_base_16_p4_hybrid", None, "efficientnet-b2"),
        ("gc_vit_large_384", None, "efficientnet-b4"),
        ("resnext50_32x4d", None, "resnet_50"),
        ("fan_base_16_p4_hybrid", "ResNet-18", "resnet_18"),
        ("resnet_101", "mobilenet_v2", "mobilenet_v2"),
    ],
)
def test_the_backbone(backbone, arch, expected):
    text, spec = convert(SIX_MINIMAL.replace("vit_large_patch14_dinov2_swiglu", backbone), arch)
    assert spec.model.arch == expected
    assert spec.model.use_batch_norm
    assert (f"{expected} takes its place" in text) == (arch is not None)


def test_the_depth_of_a_resnet():
    text, spec = convert("model: {backbone: {type: ResNet, depth: 34}}")
    assert (spec.model.arch, "model.backbone.depth" in text) == ("resnet_34", False)
    text, spec = convert("model: {backbone: {type: ResNet, depth: 20}}")
    assert (spec.model.arch, "# not carried over: model.backbone.depth (line 1): 20" in text) == (
        "efficientnet-b0",
        True,
    )


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("train: {optim: [1]}", "mine.yaml:1: train.optim must be a section of keys"),
        ("dataset: {img_size: 9}", "mine.yaml:1: dataset.img_size, here model.input_image_size.1: height must"),
        ("train: {optim: {lr: fast}}", "mine.yaml:1: train.optim.lr must be a number"),
        ("train: {optim: {lr: .nan}}", "mine.yaml:1: train.optim.lr must be a number"),
        ("train: {optim: {}, num_epochs: 1.5}", "mine.yaml:1: train.num_epochs must be a whole number"),
        ("train: {optim: {}, num_epochs: 0}", "mine.yaml:1: train.num_epochs, here train.num_epochs"),
        ("train: {optim: {policy: step, policy_params: {gamma: 0}}}", "policy_params.gamma must be above 0"),
        ("train: {optim: {policy: step, policy_params: {step_size: -1}}}", "policy_params.step_size must be at least"),
        ("dataset: {data: {train: {pipeline: RandomFlip}}}", "dataset.data.train.pipeline must be a list"),
        ("dataset: {data: {train: {pipeline: [RandomFlip]}}}", "pipeline.0 must be a section"),
        ("dataset: {data: []}", "dataset.data must be a section"),
        ("dataset: {img_size: [1, 2, 3]}", "dataset.img_size must be a size"),
        ("model: {backbone: {type: [resnet_18]}}", "model.backbone.type must be a text"),
        ("model: {backbone: {}}\nexport: {onnx_file: m.etlt}", "mine.yaml:2: export.onnx_file"),
        ("model: {backbone: {}}\nexport: {onnx_file: m.bin}", "mine.yaml:2: export.onnx_file, here export.output_path"),
        ("model: {backbone: {}}\nwandb: {enable: maybe}", "mine.yaml:2: wandb.enable must be true or false"),
    ],
)
def test_what_cannot_be_used_is_an_error_with_its_line(text, words):
    with pytest.raises(SpecError) as caught:
        convert(text)
    assert words in caught.value.message


@pytest.mark.parametrize("arch", ["resnet_19", "byom", ""])
def test_an_unknown_backbone_is_refused(arch):
    with pytest.raises(SpecError, match="--arch"):
        convert(SIX_MINIMAL, arch)


def test_values_cannot_leave_their_comment():
    text = 'model: {backbone: {type: "x\\nkey: plain"}}\n"odd\\nkey: a": "1\\u2028train: 2"\nresults_dir: "a\\nb: ${c"'
    new, spec = convert(text.replace("${c", "\\\\${c}"))
    assert spec.results_dir == "a\nb: ${c}"
    assert set(yaml.safe_load(new)) <= set(Spec.model_fields)
    assert spec.key is None


def test_secrets_are_not_shown():
    new, _ = convert("model: {backbone: {}}\nencryption_key: abc123\nwandb: {api_key: def456}")
    assert "abc123" not in new
    assert "def456" not in new


def test_only_specs_of_classification_pyt_are_refused():
    with pytest.raises(SpecError, match="classification_pyt"):
        refuse_pytorch(parse_spec_text(SIX_SMALL, "mine.yaml"))
    refuse_pytorch(parse_spec_text("model: {arch: resnet_18}", "mine.yaml"))


NAMES = sorted({name for text in EXAMPLES.values() for name in re.findall(r"\w+(?=:)", text)})
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=5),
    st.sampled_from(["cosine", "step", "sgd", "1e-3"]),
)


@st.composite
def altered(draw):
    """An example in which some values are others."""
    values = copy.deepcopy(yaml.safe_load(EXAMPLES[draw(st.sampled_from(sorted(EXAMPLES)))]))
    for _ in range(draw(st.integers(1, 4))):
        holder = values
        while True:
            keys = list(holder) if isinstance(holder, dict) else list(range(len(holder)))
            key = draw(st.sampled_from(keys)) if keys else None
            if key is None or not isinstance(holder[key], dict | list) or draw(st.integers(0, 4)) == 0:
                break
            holder = holder[key]
        if key is not None:
            inner = st.dictionaries(st.sampled_from(NAMES), SCALARS, max_size=2)
            holder[key] = draw(st.one_of(SCALARS, st.lists(SCALARS, max_size=3), inner, st.lists(inner, max_size=2)))
    return values


def test_no_number_that_the_new_spec_cannot_hold():
    with pytest.raises(SpecError, match=r"num_classes.*too many digits"):
        convert(MMCLS_MINIMAL.replace("num_classes: 3", "num_classes: 9.223372036854778e+18"))


@settings(max_examples=300, deadline=None)
@given(altered())
def test_any_file_gives_a_spec_or_one_error(values):
    text = yaml.safe_dump(values, sort_keys=False)
    try:
        parsed = parse_spec_text(text, "mine.yaml")
        new = converted_pytorch(parsed, None)
    except SpecError as error:
        assert error.message
        return
    assert isinstance(parse_spec(new, "new.yaml"), Spec)
