"""The keys of classification_pyt that have no counterpart here, and why."""

from __future__ import annotations

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
