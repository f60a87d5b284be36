"""Facts about the specs of TAO's task classification_pyt, which are not specs of classification (TF1, TF2).

How to recognise them and their release, the keys with a counterpart here, and why the other keys have none. The
conversion itself is in pytorch_convert.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Literal

from secateur.errors import SpecError
from secateur.spec.spec_text import SpecText

# Sections that only classification_pyt has.
MARKS = (
    ("dataset", "data"),
    ("dataset", "train_dataset"),
    ("dataset", "img_size"),
    ("train", "train_config"),
    ("train", "optim"),
)


def is_pytorch(values: Mapping[str, Any]) -> bool:
    """Whether a file is a spec of classification_pyt."""
    model = values.get("model")
    if isinstance(model, Mapping) and isinstance(model.get("backbone"), Mapping):
        return True
    return any(isinstance(values.get(section), Mapping) and key in values[section] for section, key in MARKS)


def refuse_pytorch(parsed: SpecText) -> None:
    """Raise SpecError if a file is a spec of classification_pyt."""
    if is_pytorch(parsed.values):
        raise SpecError(
            f"{parsed.name}: this is a spec of TAO's classification_pyt (PyTorch), whose networks are not here",
            f"convert what has a counterpart: secateur convert {parsed.name} --arch resnet_18",
        )


class Era(StrEnum):
    """Releases of classification_pyt with different words. The value is the name for people."""

    MMCLS = "TAO 4.0 to 5.2"
    MMPRETRAIN = "TAO 5.3 to 5.5"
    LIGHTNING = "TAO 6.x"


# Keys of the releases that were built on MMClassification and MMPretrain.
OLD_KEYS = (
    "dataset.data",
    "dataset.img_norm_cfg",
    "dataset.sampler",
    "train.train_config",
    "train.exp_config",
    "model.init_cfg",
    "model.train_cfg",
    "model.neck",
    "model.head.num_classes",
    "model.head.lr_head",
    "model.backbone.freeze",
    "model.backbone.custom_args",
)
# Names of keys, at any depth, that only one of these two has; both have `size` and `scale` with this meaning.
MMCLS_NAMES = {"flip_prob", "size", "policy", "warmup", "warmup_iters"}
MMPRETRAIN_NAMES = {
    "prob",
    "scale",
    "T_max",
    "eta_min",
    "begin",
    "auto_scale_lr_bs",
    "optim_wrapper",
    "pin_memory",
    "persistent_workers",
    "collate_fn",
    "default_hooks",
    "env_config",
    "lr_head",
    "freeze",
}


def era_of(values: Mapping[str, Any]) -> Era:
    """The release of a spec of classification_pyt, by its words; the later one if they do not settle it."""
    new = any(key in _mapping(values.get(section)) for section, key in MARKS if key not in ("data", "train_config"))
    if "data" not in _mapping(values.get("dataset")) and (new or not any(_has(values, path) for path in OLD_KEYS)):
        return Era.LIGHTNING
    names = set(_names(values))
    if "type" in _mapping(_mapping(_mapping(values.get("train")).get("train_config")).get("lr_config")):
        return Era.MMPRETRAIN
    return Era.MMCLS if len(names & MMCLS_NAMES) > len(names & MMPRETRAIN_NAMES) else Era.MMPRETRAIN


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _has(values: Mapping[str, Any], path: str) -> bool:
    *sections, name = path.split(".")
    for section in sections:
        values = _mapping(values.get(section))
    return name in values


def _names(value: Any) -> Iterable[str]:
    """The names of all keys at any depth."""
    waiting = [value]
    while waiting:
        value = waiting.pop()
        if isinstance(value, Mapping):
            yield from value
            waiting += value.values()
        elif isinstance(value, list):
            waiting += value


@dataclass(frozen=True)
class Row:
    """A key that has the same meaning here.

    Attributes:
        source: its path in the file.
        target: its path here.
        kind: the type of its value.
        default: its value in classification_pyt if the file does not set it; None: there is none.
    """

    source: str
    target: str
    kind: Literal["text", "whole", "number"]
    default: float | None = None


_SHARED = (
    Row("results_dir", "results_dir", "text"),
    Row("model.head.loss.label_smooth_val", "train.label_smoothing", "number", 0.0),
    Row("train.num_gpus", "train.gpus", "whole", 1),
)
# num_classes has a default in TAO (1000 and 20), which fits no other data: here the class folders are counted.
_MM = (
    *_SHARED,
    Row("dataset.data.train.data_prefix", "data.train_dataset_path", "text"),
    Row("dataset.data.val.data_prefix", "data.val_dataset_path", "text"),
    Row("dataset.data.test.data_prefix", "evaluate.dataset_path", "text"),
    Row("model.head.num_classes", "data.num_classes", "whole"),
    Row("dataset.data.samples_per_gpu", "train.batch_size_per_gpu", "whole", 1),
    Row("train.train_config.runner.max_epochs", "train.num_epochs", "whole", 20),
    Row("train.train_config.checkpoint_config.interval", "train.checkpoint_interval", "whole", 1),
    Row("train.train_config.evaluation.interval", "train.validation_interval", "whole", 1),
    Row("evaluate.batch_size", "evaluate.batch_size", "whole", 1),
)
_SIX = (
    *_SHARED,
    Row("dataset.train_dataset.images_dir", "data.train_dataset_path", "text"),
    Row("dataset.val_dataset.images_dir", "data.val_dataset_path", "text"),
    Row("dataset.test_dataset.images_dir", "evaluate.dataset_path", "text"),
    Row("dataset.num_classes", "data.num_classes", "whole"),
    Row("dataset.batch_size", "train.batch_size_per_gpu", "whole", 8),
    Row("train.num_epochs", "train.num_epochs", "whole", 10),
    Row("train.validation_interval", "train.validation_interval", "whole", 1),
)
ROWS = {Era.MMCLS: _MM, Era.MMPRETRAIN: _MM, Era.LIGHTNING: _SIX}
# Keys of `gen_trt_engine`, whose defaults count only if the file has that section.
ENGINE_ROWS = (
    Row("gen_trt_engine.trt_engine", "export.engine_file", "text"),
    Row("gen_trt_engine.tensorrt.min_batch_size", "export.min_batch_size", "whole"),
    Row("gen_trt_engine.tensorrt.opt_batch_size", "export.opt_batch_size", "whole"),
    Row("gen_trt_engine.tensorrt.calibration.cal_batch_size", "export.batch_size", "whole"),
    Row("gen_trt_engine.tensorrt.calibration.cal_batches", "export.batches", "whole"),
)
WANDB_ROWS = (
    Row("wandb.project", "train.wandb.project", "text"),
    Row("wandb.entity", "train.wandb.entity", "text"),
    Row("wandb.name", "train.wandb.name", "text"),
)


@dataclass(frozen=True)
class Words:
    """The paths and defaults of keys that need more than a new name.

    Attributes:
        optimizers: sections of the optimizer; the first that is in the file counts.
        kind: name of the optimizer's kind in that section.
        optimizer: its default.
        rate: default learning rate.
        decay: default weight decay.
        momentum: default momentum of SGD.
        workers: path of the number of workers.
        worker_count: its default.
        seed: path of the random seed.
        seed_value: its default.
        backbone: default backbone.
        opset: default opset.
    """

    optimizers: tuple[str, ...]
    kind: str
    optimizer: str
    rate: float
    decay: float
    momentum: float
    workers: str
    worker_count: int
    seed: str
    seed_value: int
    backbone: str
    opset: int


_MM_WORDS = Words(
    optimizers=("train.train_config.optimizer", "train.train_config.optim_wrapper.optimizer"),
    kind="type",
    optimizer="AdamW",
    rate=1e-3,
    decay=0.05,
    momentum=0.0,
    workers="dataset.data.workers_per_gpu",
    worker_count=2,
    seed="train.exp_config.manual_seed",
    seed_value=47,
    backbone="fan_tiny_8_p4_hybrid",
    opset=13,
)
_SIX_WORDS = Words(
    optimizers=("train.optim",),
    kind="optim",
    optimizer="adamw",
    rate=6e-5,
    decay=0.01,
    momentum=0.9,
    workers="dataset.workers",
    worker_count=8,
    seed="train.seed",
    seed_value=1234,
    backbone="fan_small_12_p4_hybrid",
    opset=17,
)
WORDS = {Era.MMCLS: _MM_WORDS, Era.MMPRETRAIN: _MM_WORDS, Era.LIGHTNING: _SIX_WORDS}

# Optimizers by their names in lower case.
OPTIMIZERS = {"sgd": "sgd", "adam": "adam", "adamw": "adam", "rmsprop": "rmsprop"}

# Words in the name of a backbone -> a network of like size. The first row that fits counts.
PROPOSALS = (
    (r"resne?x?t.*(101|152|200)", "resnet_101"),
    (r"resne?x?t.*50", "resnet_50"),
    (r"giant|huge|large|vit-h|vit-l|faster_?vit_[3-6]", "efficientnet-b4"),
    (r"base|medium|vit-b|faster_?vit_[12]|mit_b[345]", "efficientnet-b2"),
)
SMALL = "efficientnet-b0"

PRETRAINED = "weights of PyTorch networks cannot be read here"
FROZEN = "blocks are frozen for the sake of their weights, and these cannot be read here"
OF_THIS_RUN = "a PyTorch model cannot be read here; absent means the model of this run"
ALPHABETICAL = "classes are in the alphabetical order of their folders"
HEAD = "there is one head: a dense layer with softmax"
ERASE = "no part of an image is erased"
LOGS = "logs are always complete"
DEVICES = "the scheduler chooses devices"
HOSTS = "hosts are joined by srun, see docs/clusters.md"
STEPS = "steps write under results_dir"
LOADING = "images are loaded and shuffled in one way"
REPRODUCIBLE = "a run is always reproducible"
AVERAGE = "the weights are not averaged (EMA)"
PRECISION = "networks train in float32"
CLIPPING = "gradients are not clipped"
GROUPS = "all layers have the same learning rate"
SCHEDULE = "the schedule covers the whole training"
RESUMES = "a training resumes from its own checkpoints"
OPTIMIZER = "this optimizer does not have it here"
# Path -> why it is not carried over. A path stands for all keys below it; the longest one counts. `*`: any one name.
REASONS = {
    "dataset.dataset": "images are in class folders",
    "dataset.root_dir": ALPHABETICAL,
    "dataset.classes_file": ALPHABETICAL,
    "dataset.shuffle": LOADING,
    "dataset.sampler": LOADING,
    "dataset.pin_memory": LOADING,
    "dataset.persistent_workers": LOADING,
    "dataset.collate_fn": LOADING,
    "dataset.train_nolabel": "every training image has a class",
    "dataset.quant_calibration_dataset": "export.cal_image_dir names the images for int8",
    "dataset.data.*.type": "images are in class folders",
    "dataset.data.*.classes": ALPHABETICAL,
    "dataset.data.*.ann_file": "the class of an image is its folder",
    "dataset.data.val.pipeline": "validation and test images have the same size and crop: those of test",
    "dataset.augmentation.random_rotate": "images are not rotated",
    "dataset.augmentation.random_erase": ERASE,
    "dataset.augmentation.random_aug": "there is no RandAugment",
    "dataset.augmentation.with_random_blur": "images are not blurred",
    "dataset.augmentation.random_flip.vflip_probability": "images are not flipped vertically",
    "dataset.augmentation.mixup_alpha": "mixup_cutmix is off",
    "model.type": HEAD,
    "model.neck": HEAD,
    "model.head": HEAD,
    "model.head.loss": "the loss is cross entropy",
    "model.backbone": "it belongs to the PyTorch network",
    "model.backbone.freeze": FROZEN,
    "model.backbone.freeze_backbone": FROZEN,
    "model.backbone.freeze_norm": FROZEN,
    "model.backbone.pretrained": PRETRAINED,
    "model.backbone.init_cfg": PRETRAINED,
    "model.backbone.pretrained_backbone_path": PRETRAINED,
    "model.init_cfg": PRETRAINED,
    "model.train_cfg": "only mixup has a counterpart",
    "train.pretrained_model_path": PRETRAINED,
    "train.train_config.load_from": PRETRAINED,
    "train.resume_training_checkpoint_path": RESUMES,
    "train.train_config.resume_training_checkpoint_path": RESUMES,
    "train.train_config.resume": RESUMES,
    "train.gpu_ids": DEVICES,
    "train.num_nodes": HOSTS,
    "train.results_dir": STEPS,
    "train.cudnn": REPRODUCIBLE,
    "train.exp_config": REPRODUCIBLE,
    "train.exp_config.MASTER_ADDR": HOSTS,
    "train.exp_config.MASTER_PORT": HOSTS,
    "train.tensorboard": "curves are always written",
    "train.enable_ema": AVERAGE,
    "train.ema_decay": AVERAGE,
    "train.clip_grad_norm": CLIPPING,
    "train.precision": PRECISION,
    "train.validate": "validation_interval says when",
    "train.distributed_strategy": DEVICES,
    "train.accumulate_grad_batches": "every batch is one step of the optimizer",
    "train.optim.monitor_name": "the model with the best validation accuracy is kept",
    "train.optim.skip_names": "the penalty never acts on biases and normalisation",
    "train.optim.layer_decay": GROUPS,
    "train.optim.policy_params": "this policy does not read it",
    "train.optim.warmup_epochs": "TAO reads it for the policy cosine only",
    "train.optim.momentum": OPTIMIZER,
    "train.optim.betas": OPTIMIZER,
    "train.train_config.optimizer": OPTIMIZER,
    "train.train_config.optim_wrapper": OPTIMIZER,
    "train.train_config.paramwise_cfg": GROUPS,
    "train.train_config.optimizer_config": CLIPPING,
    "train.train_config.lr_config": SCHEDULE,
    "train.train_config.custom_hooks": "there are no hooks, and the weights are not averaged (EMA)",
    "train.train_config.default_hooks": LOGS,
    "train.train_config.logging": LOGS,
    "train.train_config.find_unused_parameters": "it belongs to the PyTorch network",
    "train.train_config.validate": "validation_interval says when",
    "train.train_config.evaluation.metric": "the metrics are top-1 and top-k accuracy",
    "train.train_config.runner": "trainings are counted in epochs",
    "train.train_config.runner.auto_scale_lr_bs": "the rate does not depend on the batch size",
    "train.train_config.checkpoint_config": "checkpoints are counted in epochs",
    **{
        f"{section}.{key}": reason
        for section in ("evaluate", "inference", "export", "gen_trt_engine")
        for key, reason in (
            ("results_dir", STEPS),
            ("gpu_id", DEVICES),
            ("gpu_ids", DEVICES),
            ("num_gpus", "one device is used"),
            ("num_nodes", "one device is used"),
            ("exp_config", REPRODUCIBLE),
            ("vis_after_n_batches", "the report shows the wrong answers"),
            ("batch_size", "the exported file takes any number of images"),
            ("verbose", LOGS),
            ("on_cpu", "the exported file runs on both"),
            ("verify", "the exported file is always compared with the model"),
            ("serialize_nvdsinfer", "the files for DeepStream are always written"),
            ("input_channel", "model.input_image_size says so"),
            ("input_width", "model.input_image_size says so"),
            ("input_height", "model.input_image_size says so"),
            ("opset_version", "export.opset_version says so"),
        )
    },
    "evaluate.trt_engine": "the engine of this run is measured when it is built",
    "inference.trt_engine": "inference uses the model itself",
    "inference.batch_size": "the number of images per call changes no result",
    "gen_trt_engine.onnx_file": "the engine is built from the file that export writes",
    "gen_trt_engine.timing_cache": "an engine is built without one",
    "gen_trt_engine.tensorrt.layers_precision": "an engine has one precision",
    "gen_trt_engine.tensorrt.calibration.cal_cache_file": "ranges are kept in export/calibration.json",
    "wandb": "secateur has no counterpart",
    "wandb.enable": "nothing is sent",
    "distill": "the teacher of retrain.distill is the unpruned network",
    "quantize": "export.data_type: int8 and retrain.qat quantise",
    "model_name": "the name of the experiment is used",
    "gpu_ids": DEVICES,
}
NO_COUNTERPART = "secateur has no counterpart"
# Types in a list of augmentations -> why they are not carried over.
STEP_REASONS = {
    "randomerasing": ERASE,
    "randaugment": "there is no RandAugment",
    "autoaugment": "there is no AutoAugment",
    "loadimagefromfile": "every image is read",
    "packinputs": "every image is packed",
}

# Keys that TAO 6.x turns on if the file does not have them -> what is different here.
ABSENT = {
    "dataset.augmentation.random_rotate": "TAO turns half of the images by 90, 180 or 270 degrees; here none",
    "dataset.augmentation.random_erase": "TAO erases a part of a fifth of the images; here none",
    "dataset.augmentation.random_aug": "TAO uses RandAugment; there is none here",
    "dataset.augmentation.with_random_blur": "TAO blurs images at random; here none",
    "train.clip_grad_norm": "TAO clips gradients at norm 2; here they are not clipped",
}
# Keys that are always on here, so that False in the file means something different.
ALWAYS_ON = (
    "dataset.shuffle",
    "train.validate",
    "train.train_config.validate",
    "train.exp_config.deterministic",
)
# Sections without any counterpart: one line is enough for them.
WHOLE = (
    "distill",
    "quantize",
    "dataset.train_nolabel",
    "dataset.augmentation.random_rotate",
    "dataset.augmentation.random_erase",
    "dataset.augmentation.random_aug",
    "dataset.sampler",
    "dataset.collate_fn",
    "dataset.data.val.pipeline",
    "model.neck",
    "model.backbone.custom_args",
    "model.head.custom_args",
    "model.head.lr_head",
    "train.cudnn",
    "train.tensorboard",
    "train.train_config.custom_hooks",
    "train.train_config.default_hooks",
    "train.train_config.paramwise_cfg",
)
