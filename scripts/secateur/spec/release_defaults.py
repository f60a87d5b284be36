"""The default of every key in every TAO release, in the words of V1, from the sources of TAO.

See docs/decisions/spec-defaults.md. A key that is absent from a release's table has no default there, or the same as
here. The tables of the specification (V1) are the defaults of the typed spec itself.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from secateur.spec.tao_releases import Release

# The code of TAO 4.0 (TF2). The later releases are this with changes.
TAO_4_0: dict[str, Any] = {
    "data.preprocess_mode": "caffe",
    "augment.enable_random_crop": True,
    "augment.enable_center_crop": True,
    "augment.enable_color_augmentation": False,
    "augment.disable_horizontal_flip": False,
    "augment.mixup_alpha": 0.0,
    "model.arch": "resnet_18",
    "model.input_image_size": [3, 224, 224],
    "model.input_image_depth": 8,
    "model.resize_interpolation_method": "bilinear",
    "model.use_batch_norm": True,
    "model.use_pooling": True,
    "model.use_bias": False,
    "model.all_projections": False,
    "model.freeze_bn": False,
    "model.retain_head": False,
    "model.dropout": 0.0,
    "train.qat": True,
    "train.batch_size_per_gpu": 64,
    "train.num_epochs": 100,
    "train.checkpoint_interval": 1,
    "train.validation_interval": 1,
    "train.n_workers": 10,
    "train.random_seed": 42,
    "train.label_smoothing": 0.01,
    "train.reg_config.type": "l2",
    "train.reg_config.scope": ["conv2d", "dense"],
    "train.reg_config.weight_decay": 1.5e-5,
    "train.bn_config.momentum": 0.9,
    "train.bn_config.epsilon": 1e-5,
    "train.lr_config.scheduler": "cosine",
    "train.lr_config.learning_rate": 0.05,
    "train.lr_config.soft_start": 0.05,
    "train.lr_config.annealing_points": [0.33, 0.66, 0.88],
    "train.lr_config.annealing_divider": 10.0,
    "train.lr_config.min_lr_ratio": 3e-5,
    "train.lr_config.gamma": 1.5e-5,
    "train.lr_config.step_size": 10,
    "train.optim_config.optimizer": "sgd",
    "train.optim_config.lr": 0.05,
    "train.optim_config.decay": 1e-4,
    "train.optim_config.momentum": 0.99,
    "train.optim_config.nesterov": True,
    "train.optim_config.beta_1": 0.99,
    "train.optim_config.beta_2": 0.99,
    "train.optim_config.epsilon": 1e-4,
    "train.optim_config.rho": 0.5,
    "evaluate.top_k": 3,
    "evaluate.batch_size": 64,
    "evaluate.n_workers": 64,
    "prune.normalizer": "max",
    "prune.equalization_criterion": "union",
    "prune.granularity": 8,
    "prune.min_num_filters": 16,
    "export.layout": "nchw",
    "export.max_workspace_size": 2.0,
    "export.min_batch_size": 1,
    "export.opt_batch_size": 1,
    "export.max_batch_size": 1,
    "export.batch_size": 16,
    "export.batches": 10,
}
TAO_5_0 = {**TAO_4_0, "train.qat": False, "export.batch_size": 1, "export.batches": 1}
TAO_5_5 = {
    **TAO_5_0,
    "model.arch": "efficientnet-b0",
    "model.input_image_size": [3, 256, 256],
    "prune.threshold": 0.1,
}
TAO_6_0 = {**TAO_5_5, "train.validation_interval": 10}
V0 = {**TAO_4_0, "export.layout": "nhwc"}
# Values of proto3 for absent fields, and what TAO's code makes of them.
TF1: dict[str, Any] = {
    "data.preprocess_mode": "caffe",
    **{
        f"augment.{key}": False
        for key in (
            "enable_random_crop",
            "enable_center_crop",
            "enable_color_augmentation",
            "disable_horizontal_flip",
        )
    },
    "augment.mixup_alpha": 0.0,
    "model.resize_interpolation_method": "bilinear",
    **{
        f"model.{key}": False
        for key in ("use_batch_norm", "use_pooling", "use_bias", "all_projections", "freeze_bn", "retain_head")
    },
    "model.dropout": 0.0,
    "train.qat": False,
    "train.checkpoint_interval": 1,
    "train.validation_interval": 1,
    "train.random_seed": 0,
    "train.label_smoothing": 0.0,
    "train.bn_config.momentum": 0.9,
    "train.bn_config.epsilon": 1e-5,
    "train.lr_config.soft_start": 0.0,
    "train.lr_config.annealing_points": [],
    "train.lr_config.min_lr_ratio": 0.0,
    "train.lr_config.gamma": 0.0,
    "train.optim_config.decay": 0.0,
    "train.optim_config.momentum": 0.0,
    "train.optim_config.nesterov": False,
    "train.optim_config.beta_1": 0.0,
    "train.optim_config.beta_2": 0.0,
    "train.optim_config.rho": 0.0,
    "prune.normalizer": "max",
    "prune.equalization_criterion": "union",
    "prune.granularity": 8,
    "prune.min_num_filters": 16,
    "prune.threshold": 0.1,
    "export.max_workspace_size": 2.0,
    "export.min_batch_size": 1,
    "export.opt_batch_size": 1,
    "export.max_batch_size": 1,
    "export.batch_size": 16,
    "export.batches": 10,
}
ALL_DEFAULTS: dict[Release, dict[str, Any]] = {
    Release.SPECIFICATION: {},
    Release.TF1: TF1,
    Release.V0: V0,
    Release.TAO_4_0: TAO_4_0,
    Release.TAO_5_0: TAO_5_0,
    Release.TAO_5_5: TAO_5_5,
    Release.TAO_6_0: TAO_6_0,
}
# Threads of TAO's evaluation: they change no result, and here they are cores of the job.
THREADS = "evaluate.n_workers"
# TAO 5 and 6 calibrate int8 with one image.
ONE_IMAGE = ("export.batch_size", "export.batches")


def _is_taken(path: str, value: Any) -> bool:
    return path != THREADS and not (path in ONE_IMAGE and value == 1)


# The defaults that count here. The others have a line of `differences` each.
DEFAULTS = {
    release: {path: value for path, value in table.items() if _is_taken(path, value)}
    for release, table in ALL_DEFAULTS.items()
}
# Keys without which TAO's TF1 refuses a file or fails, so that it has no default for them.
REQUIRED_BY_TF1 = (
    "model.arch",
    "model.input_image_size",
    "train.batch_size_per_gpu",
    "train.num_epochs",
    "train.reg_config.type",
    "train.reg_config.scope",
    "train.reg_config.weight_decay",
    "train.lr_config.scheduler",
    "train.lr_config.learning_rate",
    "train.optim_config.optimizer",
)
# Sections whose defaults count only if the file has the section.
OPTIONAL_SECTIONS = ("prune",)
# The depth of a family whose n_layers is absent.
DEPTH_OF_TF1 = 18


def open_rows(given: set[str], candidates: Collection[Release]) -> dict[str, str]:
    """Keys that a file does not set and whose default its words do not settle -> the default of each release.

    Args:
        given: the keys that the file sets.
        candidates: the releases that it can be of.
    """
    found = {}
    for path in dict.fromkeys(path for release in candidates for path in DEFAULTS[release]):
        section = path.partition(".")[0]
        if path in given or (section in OPTIONAL_SECTIONS and section not in given):
            continue
        values = {release.value: DEFAULTS[release].get(path, "required") for release in candidates}
        if len({str(value) for value in values.values()}) > 1:
            found[path] = ", ".join(f"TAO {name}: {value}" for name, value in values.items())
    return found
