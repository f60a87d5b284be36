"""The keys of classification_pyt that have a counterpart here, with the defaults of each release."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from secateur.spec.pytorch.pytorch_forms import Era


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
