"""The keys of all TAO releases: their names in the words of the specification (V1), or why they have no effect.

V0 is the sections of the TF1 protos in YAML; V2 is TAO 5 and 6: docs/decisions/spec-releases.md.
"""

from __future__ import annotations

# Old dotted path -> V1 path. Whole sections first: later rows see the section under its new name.
SECTIONS = {
    "dataset": "data",
    "train_config": "train",
    "model_config": "model",
    "eval_config": "evaluate",
    "infer_config": "inference",
    "prune_config": "prune",
    "export_config": "export",
    "eval": "evaluate",
    "infer": "inference",
    "encryption_key": "key",
}
_AUGMENT = (
    "enable_random_crop",
    "enable_center_crop",
    "enable_color_augmentation",
    "disable_horizontal_flip",
    "mixup_alpha",
)
_PRUNE_ACTION = ("normalizer", "equalization_criterion", "min_num_filters", "excluded_layers")
KEYS = {
    "data.augmentation": "augment",
    "num_gpus": "train.gpus",
    "gpus": "train.gpus",
    "train.num_gpus": "train.gpus",
    **{f"train.{key}": f"data.{key}" for key in ("train_dataset_path", "val_dataset_path", "preprocess_mode")},
    "train.image_mean": "data.image_mean",
    **{f"train.{key}": f"augment.{key}" for key in _AUGMENT},
    "train.n_epochs": "train.num_epochs",
    "train.checkpoint_freq": "train.checkpoint_interval",
    "train.checkpoint": "train.pretrained_model_path",
    "train.optimizer": "train.optim_config.optimizer",
    "train.visualizer.clearml_config": "train.clearml",
    "model.backbone": "model.arch",
    "model.use_imagenet_head": "model.retain_head",
    "model.batch_norm_config": "train.bn_config",
    "model.activation.activation_type": "model.activation_type",
    "evaluate.eval_dataset_path": "evaluate.dataset_path",
    "evaluate.checkpoint": "evaluate.model_path",
    "inference.checkpoint": "inference.model_path",
    "prune.checkpoint": "prune.model_path",
    "prune.pruning_threshold": "prune.threshold",
    "prune.pruning_granularity": "prune.granularity",
    "pruning_threshold": "prune.threshold",
    "pruning_granularity": "prune.granularity",
    **{key: f"prune.{key}" for key in _PRUNE_ACTION},
    "export.checkpoint": "export.model_path",
    "export.onnx_file": "export.output_path",
    "export.dtype": "export.data_type",
    "gen_trt_engine.trt_engine": "export.engine_file",
    "gen_trt_engine.tensorrt.data_type": "export.engine_data_type",
    "gen_trt_engine.tensorrt.calibration.cal_batch_size": "export.batch_size",
    "gen_trt_engine.tensorrt.calibration.cal_batches": "export.batches",
    **{
        f"gen_trt_engine.tensorrt.{key}": f"export.{key.removeprefix('calibration.')}"
        for key in (
            "max_workspace_size",
            "min_batch_size",
            "opt_batch_size",
            "max_batch_size",
            "calibration.cal_image_dir",
            "calibration.cal_cache_file",
            "calibration.cal_data_file",
        )
    },
    "gen_trt_engine.cal_image_dir": "export.cal_image_dir",
}

RESUMES = "a training resumes from its own checkpoints"
LOGS = "logs are always complete"
OF_THE_SERVICE = "a key of TAO's API service"
HISTOGRAMS = "curves are always written; there are no images and no histograms of weights"
# Keys of some TAO release that do nothing here, in V1's sections -> the reason. A path stands for all keys below it.
# Other keys of this kind, which are in the specification or in V2's schema, are fields of the sections.
WITHOUT_EFFECT = {
    "init_epoch": RESUMES,
    "model_name": "the name of the experiment is used",
    "train.model_parallelism": "a network is not divided over several GPUs",
    "model.activation.activation_parameters": "TAO does not read it either",
    "train.resume_training_checkpoint_path": RESUMES,
    "train.visualizer": HISTOGRAMS,
    "training_config": HISTOGRAMS,
    "train.verbose": LOGS,
    "train.init_epoch": RESUMES,
    "train.use_amp": "networks train in float32",
    "train.wandb.group": "runs of one project are compared in W&B itself",
    "use_amp": "networks train in float32",
    "evaluate.conf_threshold": "TLT 1 only greyed out uncertain answers",
    "evaluate.verbose": LOGS,
    "inference.batch_size": "the number of images per call changes no result",
    "inference.verbose": LOGS,
    "prune.verbose": LOGS,
    "output_file": "the pruned model is prune/model.tlt",
    "export.verbose": LOGS,
    "export.onnx_route": "secateur has its own ONNX writer",
    "gen_trt_engine.verbose": LOGS,
    "gen_trt_engine.tensorrt.verbose": LOGS,
    "version": OF_THE_SERVICE,
    "is_byom": "model.byom_model says so",
    "model.byom_model_path": "model.byom_model says so",
    "automl_default_parameters": OF_THE_SERVICE,
    "automl_disabled_parameters": OF_THE_SERVICE,
    "workspace": OF_THE_SERVICE,
}
LAYOUTS = {"channels_first": "nchw", "channels_last": "nhwc"}
# V2's keys that together are V1's input_image_size, with the place of each in the list.
SIZE_KEYS = ("input_channels", "input_height", "input_width")
