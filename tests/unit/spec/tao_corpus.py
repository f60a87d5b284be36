"""Small spec files of every release, with what is usual, complete, minimal and odd in each: name -> text."""

TRAIN = """train_config {
  train_dataset_path: "images/train" val_dataset_path: "images/val"
  optimizer { sgd { lr: 0.01 momentum: 0.9 } }
  lr_config { step { learning_rate: 0.006 step_size: 10 gamma: 0.1 } }
  reg_config { type: "L2" scope: "Conv2D,Dense" weight_decay: 0.00005 }
  batch_size_per_gpu: 16 n_epochs: 2 n_workers: 4 preprocess_mode: "torch"
}
"""
RESNET = 'model_config { arch: "resnet" n_layers: 18 input_image_size: "3,64,64" }\n'


def proto(model: str = "", train: str = "", rest: str = "") -> str:
    """A proto with more fields in its two messages, which follow those that it has anyway."""
    return f"{RESNET}model_config {{ {model} }}\n{TRAIN}train_config {{ {train} }}\n{rest}\n"


def proto_of(arch: str, model: str = "") -> str:
    return f'model_config {{ arch: "{arch}" input_image_size: "3,64,64" {model} }}\n{TRAIN}'


TF1_FULL = """# every field of the message
model_config {
  arch: "resnet" n_layers: 34 input_image_size: "3,224,224" resize_interpolation_method: BICUBIC
  retain_head: false use_batch_norm: true use_pooling: true use_bias: false all_projections: true
  freeze_bn: false freeze_blocks: 0 freeze_blocks: 1 dropout: 0.0
  batch_norm_config { momentum: 0.8 epsilon: 0.001 }
  activation { activation_type: "relu" activation_parameters { key: "alpha" value: 0.1 } }
}
train_config {
  train_dataset_path: "a/train" val_dataset_path: "a/val" pretrained_model_path: "resnet_34.hdf5"
  optimizer { adam { lr: 0.001 beta_1: 0.9 beta_2: 0.99 epsilon: 1e-7 decay: 0.0 } }
  batch_size_per_gpu: 64 n_epochs: 80 n_workers: 16 random_seed: 7 label_smoothing: 0.1 mixup_alpha: 0.1
  reg_config { type: "L1" scope: "Dense" weight_decay: 0.0003 }
  lr_config { soft_anneal { learning_rate: 0.005 soft_start: 0.05 annealing_divider: 10
    annealing_points: 0.3 annealing_points: 0.6 annealing_points: 0.8 } }
  preprocess_mode: "caffe" enable_random_crop: true enable_center_crop: true enable_color_augmentation: true
  disable_horizontal_flip: true model_parallelism: 0.5 model_parallelism: 0.5
  image_mean { key: "b" value: 100.5 } image_mean { key: "g" value: 110.5 } image_mean { key: "r" value: 120.5 }
  visualizer { enabled: true num_images: 3 weight_histograms: true
    wandb_config { enabled: true key: "hunter2" project: "p" entity: "e" reinit: false name: "n" tags: "t"
      wandb_dir: "d" notes: "o" mode: ONLINE }
    clearml_config { project: "clothes" task: "first" tags: "a" tags: "b" reuse_last_task_id: false
      continue_last_task: false deferred_init: false } }
}
eval_config { eval_dataset_path: "a/test" model_path: "weights/resnet_080.hdf5" top_k: 3 batch_size: 256
  n_workers: 8 enable_center_crop: true }
"""
TLT2 = """model_config { arch: "resnet" n_layers: 18 use_batch_norm: true input_image_size: "3,224,224" }
train_config {
  train_dataset_path: "a" val_dataset_path: "b" optimizer: "sgd" batch_size_per_gpu: 256 n_epochs: 80 n_workers: 16
  reg_config { type: "L2" scope: "Conv2D,Dense" weight_decay: 0.00005 }
  lr_config { scheduler: "step" learning_rate: 0.006 step_size: 10 gamma: 0.1 }
}
eval_config { eval_dataset_path: "c" model_path: "/workspace/tlt-experiments/classification/weights/resnet_080.tlt"
  top_k: 3 batch_size: 256 n_workers: 8 }
"""
TF1 = {
    "tf1_full.cfg": TF1_FULL,
    "tf1_minimal.cfg": proto(),
    "tf1_eval_only.cfg": 'eval_config { eval_dataset_path: "c" top_k: 3 batch_size: 4 n_workers: 2 }',
    "tlt2_sgd.cfg": TLT2,
    "tlt2_adam.cfg": TLT2.replace('"sgd"', '"adam"'),
    "tlt1_threshold.cfg": TLT2.replace("top_k: 3", "top_k: 3 conf_threshold: 0.5"),
    "tf1_angles.cfg": proto().replace(
        "optimizer { sgd { lr: 0.01 momentum: 0.9 } }", "optimizer < sgd < lr: 0.01 momentum: 0.7 >; >,"
    ),
    "tf1_colons.cfg": proto().replace(" {", ": {"),
    "tf1_single_quotes.cfg": proto(train="pretrained_model_path: 'first' \"/second.hdf5\""),
    "tf1_numbers.cfg": proto(
        "freeze_blocks: 0x2",
        "mixup_alpha: .5 optimizer { sgd { momentum: 0.5f } } reg_config { weight_decay: 5e-5 }",
    ),
    "tf1_bools.cfg": proto("use_bias: t use_pooling: 1 freeze_bn: f all_projections: True use_batch_norm: 0"),
    "tf1_enum_number.cfg": proto("resize_interpolation_method: 1"),
    "tf1_repeated_scalar.cfg": proto(train="n_epochs: 3 n_epochs: 5"),
    "tf1_two_schedules.cfg": proto(train="lr_config { cosine { learning_rate: 0.1 min_lr_ratio: 0.01 } }"),
    "tf1_back_to_the_first_schedule.cfg": proto(
        train="lr_config { cosine { learning_rate: 0.1 } }"
        " lr_config { step { learning_rate: 0.2 step_size: 20 gamma: 0.5 } }"
    ),
    "tf1_cleared_schedule.cfg": proto(
        train="lr_config { cosine { learning_rate: 0.1 } step { learning_rate: 0.2 step_size: 20 } }"
    ),
    "tf1_two_optimizers.cfg": proto(train="optimizer { rmsprop { lr: 0.01 rho: 0.7 epsilon: 1e-6 } }"),
    "tf1_freeze_list.cfg": proto("freeze_blocks: [0, 1] freeze_blocks: 2"),
    "tf1_freeze_nothing.cfg": proto("freeze_blocks: []"),
    "tf1_partial_bn.cfg": proto("use_batch_norm: true batch_norm_config { momentum: 0.9 }"),
    "tf1_blank_in_scope.cfg": proto(train='reg_config { scope: "Conv2D, Dense" }'),
    "tf1_no_penalty.cfg": proto(train='reg_config { type: "none" }'),
    "tf1_label_smoothing.cfg": proto(train="label_smoothing: 0.1"),
    "tf1_two_center_crops.cfg": proto(
        train="enable_center_crop: true", rest='eval_config { eval_dataset_path: "c" enable_center_crop: false }'
    ),
    "tf1_center_crop_of_training.cfg": proto(
        train="enable_center_crop: true", rest='eval_config { eval_dataset_path: "c" }'
    ),
    "tf1_step_without_size.cfg": proto(train="lr_config { step { learning_rate: 0.2 gamma: 0.5 } }").replace(
        "step_size: 10", ""
    ),
    "tf1_gray.cfg": proto('input_image_size: "1,32,40"', 'image_mean { key: "l" value: 99 }').replace("torch", "caffe"),
    "tf1_mean_twice.cfg": proto(
        train='image_mean { key: "b" value: 1 } image_mean { key: "g" value: 2 } image_mean { key: "r" value: 3 }'
        ' image_mean { key: "b" value: 4 }'
    ).replace("torch", "caffe"),
    "tf1_crlf.cfg": proto().replace("\n", "\r\n"),
    "tf1_without_layers.cfg": proto_of("resnet"),
    "tf1_zero_layers.cfg": proto("n_layers: 0"),
    "tf1_mobilenet.cfg": proto_of("mobilenet_v2", "use_batch_norm: true use_pooling: true all_projections: true"),
    "tf1_vgg.cfg": proto_of("vgg", "n_layers: 16 dropout: 0.5 all_projections: true"),
    "tf1_squeezenet.cfg": proto_of("squeezenet"),
    "tf1_alexnet.cfg": proto_of("alexnet", "freeze_bn: true use_batch_norm: true"),
    "tf1_efficientnet_b0_activation.cfg": proto_of("efficientnet_b0", 'activation { activation_type: "relu" }'),
    "tf1_efficientnet_b1_activation.cfg": proto_of("efficientnet_b1", 'activation { activation_type: "relu" }'),
    "tf1_cspdarknet.cfg": proto_of("cspdarknet", 'n_layers: 19 activation { activation_type: "mish" }'),
    "tf1_cspdarknet_word.cfg": proto_of("cspdarknet_tiny", 'activation { activation_type: "sigmoid" }'),
    "tf1_activation_of_resnet.cfg": proto('activation { activation_type: "sigmoid" }'),
    "tf1_byom.cfg": proto_of("byom", 'byom_model: "my.tltb"'),
    "tf1_adam_without_epsilon.cfg": proto(train="optimizer { adam { lr: 0.01 beta_1: 0.9 beta_2: 0.999 } }"),
    "tf1_adam_epsilon_zero.cfg": proto(train="optimizer { adam { lr: 0.01 beta_1: 0.9 beta_2: 0.999 epsilon: 0.0 } }"),
    "tf1_momentum_absent.cfg": proto(train="optimizer { rmsprop { lr: 0.1 } } optimizer { sgd { lr: 0.1 } }"),
    "tf1_colab.cfg": proto(train='pretrained_model_path: "EXPERIMENT_DIR_PATH//pretrained_resnet18/resnet_18.hdf5"'),
    "both_ways": "train_config: { n_epochs: 4 }",
    "both_ways.cfg": "train_config: { n_epochs: 4 }",
    "both_ways.yaml": "train_config: { n_epochs: 4 }",
}
V0_FULL = """results_dir: out
key: env:K
init_epoch: 1
data_format: channels_last
train_config:
  train_dataset_path: a
  val_dataset_path: b
  pretrained_model_path: ''
  preprocess_mode: caffe
  image_mean: [103.939, 116.779, 123.68]
  qat: True
  batch_size_per_gpu: 64
  checkpoint_freq: 1
  n_epochs: 100
  n_workers: 10
  random_seed: 42
  enable_random_crop: True
  enable_center_crop: True
  enable_color_augmentation: False
  disable_horizontal_flip: False
  label_smoothing: 0.01
  mixup_alpha: 0
  reg_config: {type: L2, scope: [conv2d, dense], weight_decay: 0.000015}
  lr_config: {scheduler: cosine, learning_rate: 0.05, soft_start: 0.05, annealing_points: [0.33, 0.66, 0.88],
    annealing_divider: 10, min_lr_ratio: 0.00003, gamma: 0.000015, step_size: 10}
  optim_config: {optimizer: sgd, lr: 0.05, decay: 0.0001, momentum: 0.99, nesterov: True, beta_1: 0.99,
    beta_2: 0.99, epsilon: 0.0001, rho: 0.5}
model_config: {arch: resnet, n_layers: 18, input_image_size: [3, 224, 224], use_batch_norm: True, use_pooling: True,
  use_bias: False, all_projections: False, freeze_bn: False, freeze_blocks: [], retain_head: False, dropout: 0.0,
  resize_interpolation_method: bilinear, byom_model: ''}
eval_config: {eval_dataset_path: c, model_path: '', top_k: 3, batch_size: 64, n_workers: 64,
  enable_center_crop: True, classmap: ''}
infer_config: {model_path: '', image_dir: ''}
prune_config: {model_path: m.tlt, byom_model_path: '', output_path: p.tlt, normalizer: max,
  equalization_criterion: union, pruning_granularity: 8, pruning_threshold: 0.4, min_num_filters: 16,
  excluded_layers: [], verbose: True}
export_config: {model_path: '', output_path: '', data_type: fp32, engine_file: '', max_workspace_size: 2,
  cal_image_dir: '', cal_cache_file: '', cal_data_file: '', batch_size: 16, batches: 10, min_batch_size: 1,
  opt_batch_size: 1, max_batch_size: 1, verbose: False}
"""
V0_MINIMAL = "key: env:K\ntrain_config: {train_dataset_path: a, val_dataset_path: b}\n"
V0 = {
    "v0_full.yaml": V0_FULL,
    "v0_minimal.yaml": V0_MINIMAL,
    "v0_dtype.yaml": V0_MINIMAL + "export_config: {dtype: fp16, save_engine: True, output_path: out.onnx}\n",
    "v0_imagenet_head.yaml": V0_MINIMAL + "model_config: {arch: resnet, n_layers: 34, use_imagenet_head: True}\n",
    "v0_depth_without_arch.yaml": V0_MINIMAL + "model_config: {n_layers: 34}\n",
    "v0_checkpoint_freq.yaml": V0_MINIMAL.replace("b}", "b, checkpoint_freq: 5}"),
    "v0_center_crop_of_evaluation.yaml": V0_MINIMAL + "eval_config: {enable_center_crop: False}\n",
    "v0_bicubic.yaml": V0_MINIMAL + "model_config: {resize_interpolation_method: BICUBIC}\n",
    "v0_two_center_crops.yaml": V0_MINIMAL.replace("b}", "b, enable_center_crop: False}")
    + "eval_config: {enable_center_crop: True}\n",
    "v0_channels_first.yaml": V0_MINIMAL + "data_format: channels_first\n",
    "v0_5.yaml": """key: env:K
results_dir: out
train: {train_dataset_path: a, val_dataset_path: b, preprocess_mode: tf, n_epochs: 3, enable_random_crop: False}
model: {arch: resnet, n_layers: 18}
eval: {eval_dataset_path: c, top_k: 2, enable_center_crop: True}
infer: {model_path: '', image_dir: d}
prune: {pruning_threshold: 0.5, pruning_granularity: 4, verbose: True}
""",
}
V1_FULL = """tao: '4.0'
results_dir: out
key: nvidia_tlt
data_format: channels_first
verbose: False
data: {train_dataset_path: a, val_dataset_path: b, preprocess_mode: caffe, image_mean: [103.939, 116.779, 123.68]}
augment: {enable_random_crop: True, enable_center_crop: True, enable_color_augmentation: False,
  disable_horizontal_flip: False, mixup_alpha: 0}
model: {arch: resnet, n_layers: 18, input_image_size: [3, 224, 224], input_image_depth: 8, use_batch_norm: True,
  use_bias: False, use_pooling: True, all_projections: False, freeze_bn: False, freeze_blocks: [],
  retain_head: False, dropout: 0.0, resize_interpolation_method: bilinear, byom_model: ''}
train:
  qat: True
  pretrained_model_path: ''
  checkpoint_interval: 1
  batch_size_per_gpu: 64
  num_epochs: 100
  n_workers: 10
  random_seed: 42
  label_smoothing: 0.01
  reg_config: {type: L2, scope: [conv2d, dense], weight_decay: 0.000015}
  bn_config: {momentum: 0.9, epsilon: 1e-5}
  lr_config: {scheduler: cosine, learning_rate: 0.05, soft_start: 0.05, annealing_points: [0.33, 0.66, 0.88],
    annealing_divider: 10, min_lr_ratio: 0.00003, gamma: 0.000015, step_size: 10}
  optim_config: {optimizer: sgd, lr: 0.05, decay: 0.0001, momentum: 0.99, nesterov: True, beta_1: 0.99,
    beta_2: 0.99, epsilon: 0.0001, rho: 0.5}
  wandb: {project: TAO Toolkit, entity: null, tags: [], reinit: False, sync_tensorboard: True, save_code: False,
    name: classification}
  clearml: {project: TAO Toolkit, task: classification_train, deferred_init: False, reuse_last_task_id: False,
    continue_last_task: False, tags: []}
evaluate: {dataset_path: '', model_path: '', batch_size: 64, n_workers: 64, top_k: 3, classmap: ''}
inference: {model_path: '', image_dir: '', classmap: ''}
prune: {model_path: m.tlt, byom_model_path: '', normalizer: max, output_path: p.tlt, equalization_criterion: union,
  granularity: 8, threshold: 0.4, min_num_filters: 16, excluded_layers: []}
export: {model_path: '', output_path: '', data_type: fp32, engine_file: '', max_workspace_size: 2, cal_image_dir: '',
  cal_cache_file: '', cal_data_file: '', batch_size: 16, batches: 10, min_batch_size: 1, opt_batch_size: 1,
  max_batch_size: 1}
"""
V1_MINIMAL = "key: env:K\ndata: {train_dataset_path: a, val_dataset_path: b}\n"
V1 = {
    "v1_full.yaml": V1_FULL,
    "v1_minimal.yaml": "tao: '4.0'\n" + V1_MINIMAL,
    "v1_tao_as_number.yaml": "tao: 4.0\n" + V1_MINIMAL,
    "v1_the_specifications.yaml": V1_MINIMAL,
    "v1_depth_without_arch.yaml": "tao: '4.0'\n" + V1_MINIMAL + "model: {n_layers: 34}\n",
    "v1_beta.yaml": V1_MINIMAL + "train: {n_epochs: 3, checkpoint_freq: 2}\n",
    "v1_5.yaml": "encryption_key: env:K\ndata: {train_dataset_path: a, val_dataset_path: b}\n"
    "augment: {mixup_alpha: 0.3}\nmodel: {backbone: resnet_18, input_width: 64, input_height: 32}\n",
    "v1_notebook.yaml": """results_dir: out
key: env:K
data: {train_dataset_path: "/workspace/tao-experiments/data/split/train",
  val_dataset_path: "/workspace/tao-experiments/data/split/val", preprocess_mode: 'torch'}
augment: {enable_color_augmentation: True, enable_center_crop: True}
train: {qat: False, pretrained_model_path: '', batch_size_per_gpu: 64, num_epochs: 80,
  optim_config: {optimizer: 'sgd'}, lr_config: {scheduler: 'cosine', learning_rate: 0.05, soft_start: 0.05},
  reg_config: {type: 'L2', scope: ['conv2d', 'dense'], weight_decay: 0.00005}}
model: {arch: 'efficientnet-b0', input_image_size: [3,256,256], input_image_depth: 8}
evaluate: {dataset_path: '/workspace/tao-experiments/data/split/test', model_path: "EVALMODEL", top_k: 3,
  batch_size: 16, n_workers: 8}
prune: {equalization_criterion: 'union', threshold: 0.68, byom_model_path: '', model_path: 'EVALMODEL',
  output_path: 'out/pruned/efficientnet-b0_th=0.68.tlt'}
""",
    "v1_retrain_of_the_notebook.yaml": """results_dir: out
key: env:K
data: {train_dataset_path: a, val_dataset_path: b, preprocess_mode: 'torch'}
train: {qat: True, pretrained_model_path: PRUNEDMODEL, num_epochs: 80}
model: {arch: 'efficientnet-b0', input_image_size: [3,256,256]}
inference: {model_path: EVALMODEL, image_dir: c, classmap: RESULTSDIR/classmap.json}
export: {model_path: EVALMODEL, output_path: 'EXPORTDIR/efficientnet-b0.etlt', data_type: 'int8',
  engine_file: 'EXPORTDIR/efficientnet-b0.int8.engine'}
""",
    "v1_gray_16_bit.yaml": V1_MINIMAL.replace("b}", "b, preprocess_mode: caffe, image_mean: [30049.0]}")
    + "model: {arch: resnet, n_layers: 18, input_image_size: [1, 64, 64], input_image_depth: 16}\n",
}
V2_FULL = """results_dir: out
encryption_key: null
data_format: channels_first
dataset:
  train_dataset_path: a
  val_dataset_path: b
  preprocess_mode: caffe
  image_mean: [103.939, 116.779, 123.68]
  num_classes: 20
  augmentation: {enable_random_crop: True, enable_center_crop: True, enable_color_augmentation: False,
    disable_horizontal_flip: False, mixup_alpha: 0}
model: {backbone: resnet_18, input_width: 224, input_height: 224, input_channels: 3, input_image_depth: 8,
  use_batch_norm: True, use_bias: False, use_pooling: True, all_projections: False, freeze_bn: False,
  freeze_blocks: [], retain_head: False, dropout: 0.0, resize_interpolation_method: bilinear, activation_type: null,
  byom_model: ''}
train:
  results_dir: null
  qat: False
  checkpoint: ''
  checkpoint_interval: 1
  batch_size_per_gpu: 64
  num_epochs: 100
  n_workers: 10
  random_seed: 42
  label_smoothing: 0.01
  reg_config: {type: L2, scope: [conv2d, dense], weight_decay: 0.000015}
  bn_config: {momentum: 0.9, epsilon: 1e-5}
  lr_config: {scheduler: cosine, learning_rate: 0.05, soft_start: 0.05, annealing_points: [0.33, 0.66, 0.88],
    annealing_divider: 10, min_lr_ratio: 0.00003, gamma: 0.000015, step_size: 10}
  optim_config: {optimizer: sgd, lr: 0.05, decay: 0.0001, momentum: 0.99, nesterov: True, beta_1: 0.99,
    beta_2: 0.99, epsilon: 0.0001, rho: 0.5}
  wandb: {project: TAO Toolkit, entity: null, tags: [], reinit: False, sync_tensorboard: True, save_code: False,
    name: classification}
  clearml: {project: TAO Toolkit, task: classification_train, deferred_init: False, reuse_last_task_id: False,
    continue_last_task: False, tags: []}
evaluate:
  results_dir: null
  dataset_path: ???
  checkpoint: ???
  trt_engine: null
  batch_size: 64
  n_workers: 64
  top_k: 3
  classmap: ''
inference:
  results_dir: null
  checkpoint: ???
  trt_engine: null
  image_dir: ???
  classmap: ???
prune:
  results_dir: null
  checkpoint: ???
  byom_model_path: null
  normalizer: max
  equalization_criterion: union
  granularity: 8
  threshold: 0.1
  min_num_filters: 16
  excluded_layers: []
export:
  results_dir: null
  checkpoint: ???
  onnx_file: ???
gen_trt_engine:
  results_dir: null
  onnx_file: ???
  trt_engine: ???
  tensorrt: {data_type: fp32, max_workspace_size: 2, min_batch_size: 1, opt_batch_size: 1, max_batch_size: 1,
    calibration: {cal_image_dir: '', cal_cache_file: '', cal_batch_size: 1, cal_batches: 1, cal_data_file: ''}}
"""
SINCE_5_5 = """num_gpus: 1
gpu_ids: [0]
cuda_blocking: False
multi_node: False
num_processes: -1
mpi_args: {nccl_ib_hca: '', nccl_socket_ifname: ''}
"""
V2_5_5_FULL = SINCE_5_5 + V2_FULL.replace(
    "resnet_18, input_width: 224, input_height: 224", "efficientnet-b0, input_width: 256, input_height: 256"
).replace("  qat: False\n", "  qat: False\n  resume_training_checkpoint_path: ''\n")
V2_6_0_FULL = "model_name: classification_tf2\n" + V2_5_5_FULL.replace(
    "  checkpoint_interval: 1\n", "  checkpoint_interval: 1\n  validation_interval: 10\n"
).replace("wandb: {project", "wandb: {enable: True, group: null, run_id: null, project")
V2_MINIMAL = "encryption_key: env:K\ndataset: {train_dataset_path: a, val_dataset_path: b}\n"


def v2(text: str) -> str:
    """A small V2 file that has further sections."""
    return f"{V2_MINIMAL}{text}\n"


V2 = {
    "v2_5_0_full.yaml": "tao: '5.0'\n" + V2_FULL,
    "v2_5_5_full.yaml": V2_5_5_FULL,
    "v2_6_0_full.yaml": V2_6_0_FULL,
    "v2_5_0_minimal.yaml": "tao: '5.0'\n" + V2_MINIMAL,
    "v2_5_5_minimal.yaml": "tao: '5.5'\n" + V2_MINIMAL,
    "v2_6_0_minimal.yaml": "tao: '6.0'\n" + V2_MINIMAL,
    "v2_no_token.yaml": v2(""),
    **{f"v2_{line.partition(':')[0]}.yaml": v2(line) for line in SINCE_5_5.splitlines()},
    "v2_resume.yaml": v2("train: {resume_training_checkpoint_path: ''}"),
    "v2_model_name.yaml": v2("model_name: classification_tf2"),
    "v2_validation_interval.yaml": v2("train: {validation_interval: 2}"),
    "v2_wandb_enable.yaml": v2("train: {wandb: {enable: True, project: p}}"),
    "v2_wandb_group.yaml": v2("train: {wandb: {project: p, group: g, run_id: r}}"),
    "v2_half_a_size_5_0.yaml": v2("tao: '5.0'\nmodel: {backbone: resnet_18, input_width: 96}"),
    "v2_half_a_size_5_5.yaml": v2("tao: '5.5'\nmodel: {backbone: resnet_18, input_width: 96}"),
    "v2_words_of_documents.yaml": v2(
        "verbose: True\nexport: {data_type: fp16}\ninference: {model_path: m.tlt, image_dir: d}\n"
        "gen_trt_engine: {cal_image_dir: e}"
    ),
    "v2_activation_b1.yaml": v2("model: {backbone: efficientnet-b1, activation_type: relu}"),
    "v2_activation_b0.yaml": v2("model: {backbone: efficientnet-b0, activation_type: relu}"),
    "v2_activation_resnet.yaml": v2("model: {backbone: resnet_18, activation_type: relu}"),
    "v2_dropout.yaml": v2("model: {backbone: resnet_18, dropout: 0.5}"),
    "v2_no_batch_norm_of_mobilenet.yaml": v2("model: {backbone: mobilenet_v1, use_batch_norm: False}"),
    "v2_notebook.yaml": """results_dir: /results/classification_tf2/output
dataset:
  train_dataset_path: "/data/split/train"
  val_dataset_path: "/data/split/val"
  preprocess_mode: 'torch'
  num_classes: 20
  augmentation: {enable_color_augmentation: True, enable_center_crop: True}
train:
  qat: False
  checkpoint: ''
  batch_size_per_gpu: 64
  num_epochs: 80
  optim_config: {optimizer: 'sgd'}
  lr_config: {scheduler: 'cosine', learning_rate: 0.05, soft_start: 0.05}
  reg_config: {type: 'L2', scope: ['conv2d', 'dense'], weight_decay: 0.00005}
model: {backbone: 'efficientnet-b0', input_width: 256, input_height: 256, input_channels: 3, input_image_depth: 8}
evaluate: {dataset_path: "/data/split/test", checkpoint: 'EVALMODEL', top_k: 3, batch_size: 256, n_workers: 8}
prune: {checkpoint: 'EVALMODEL', threshold: 0.68, byom_model_path: ''}
""",
    "v2_retrain_of_the_notebook.yaml": """results_dir: RESULTSDIR
dataset: {train_dataset_path: a, val_dataset_path: b, preprocess_mode: torch, num_classes: 20}
train: {qat: True, checkpoint: PRUNEDMODEL, num_epochs: 80}
model: {backbone: efficientnet-b0, input_width: 256, input_height: 256, input_channels: 3}
inference: {checkpoint: EVALMODEL, trt_engine: EXPORTDIR/x.engine, image_dir: c, classmap: RESULTSDIR/classmap.json}
export: {checkpoint: EVALMODEL, onnx_file: EXPORTDIR/efficientnet-b0.onnx}
gen_trt_engine: {onnx_file: EXPORTDIR/efficientnet-b0.onnx, trt_engine: EXPORTDIR/efficientnet-b0.int8.engine,
  tensorrt: {data_type: int8, max_workspace_size: 4, max_batch_size: 16, calibration: {cal_image_dir: a,
  cal_data_file: x.tensorfile, cal_cache_file: x.cal, cal_batches: 10, cal_batch_size: 16}}}
""",
    "v2_byom.yaml": v2("model: {backbone: byom, byom_model: BYOMMODEL, use_batch_norm: True, use_pooling: True}"),
}
API = {
    "api_tf2_5_0.json": """{"gpus": 2, "version": "1", "automl_default_parameters": ["train.num_epochs"],
 "automl_disabled_parameters": [], "encryption_key": "env:K", "results_dir": "/results",
 "data_format": "channels_first",
 "dataset": {"train_dataset_path": "a", "val_dataset_path": "b", "preprocess_mode": "caffe", "num_classes": 20,
  "image_mean": [103.939, 116.779, 123.68], "augmentation": {"enable_random_crop": true, "mixup_alpha": 0}},
 "model": {"backbone": "efficientnet-b0", "input_width": 224, "input_height": 224, "input_channels": 3,
  "activation_type": "None", "use_batch_norm": true, "use_pooling": true, "byom_model_path": ""},
 "train": {"qat": false, "num_epochs": 80, "checkpoint_interval": 1, "batch_size_per_gpu": 64,
  "reg_config": {"type": "L2", "scope": ["conv2d", "dense"], "weight_decay": 5e-05},
  "optim_config": {"lr": 0.05, "momentum": 0.99, "nesterov": true}}}""",
    "api_tf2_5_5.json": """{"dataset": {"train_dataset_path": "a", "val_dataset_path": "b", "num_classes": 20},
 "model": {"backbone": "efficientnet-b0"}, "train": {"num_epochs": 50, "checkpoint_interval": 5}}""",
    "api_tabs.json": '{\n\t"dataset": {"train_dataset_path": "a"},\n\t"train": {"num_epochs": 9}\n}',
    "api_tf1.json": """{"use_amp": false, "init_epoch": 1, "is_byom": false, "train_config": {
  "train_dataset_path": "a", "val_dataset_path": "b", "n_epochs": 80, "batch_size_per_gpu": 64,
  "preprocess_mode": "caffe", "label_smoothing": 0.0,
  "image_mean": [{"key": "b", "value": 103.9}, {"key": "g", "value": 116.7}, {"key": "r", "value": 123.6}],
  "reg_config": {"type": "L2", "scope": "Conv2D,Dense", "weight_decay": 5e-05},
  "optimizer": {"sgd": {"lr": 0.01, "momentum": 0.9}},
  "lr_config": {"soft_anneal": {"learning_rate": 0.05, "soft_start": 0.06, "annealing_points": [0.3, 0.6],
   "annealing_divider": 10}}},
 "model_config": {"arch": "resnet", "n_layers": 18, "input_image_size": "3,224,224", "freeze_blocks": [0, 1],
  "resize_interpolation_method": "__BICUBIC__", "use_batch_norm": true},
 "training_config": {"visualizer": {"enabled": true}},
 "eval_config": {"eval_dataset_path": "c", "top_k": 3, "batch_size": 256, "n_workers": 8}}""",
    "api_tf1_prune.json": """{"train_config": {"n_epochs": 3}, "normalizer": "max", "equalization_criterion": "union",
 "pruning_granularity": 8, "pruning_threshold": 0.6, "min_num_filters": 16, "excluded_layers": [],
 "output_file": "/pruned.tlt"}""",
    "api_schema.json": """{"properties": {"train": {"type": "object"}}, "default": {
 "dataset": {"train_dataset_path": "a", "val_dataset_path": "b"}, "train": {"num_epochs": 7}}}""",
}
LANGUAGE = {
    "omega_missing.yaml": "results_dir: ???\nevaluate:\n  dataset_path: ???\n  checkpoint: ???\n" + V2_MINIMAL,
    "omega_references.yaml": v2(
        "results_dir: out\ntrain: {num_epochs: 8, checkpoint_interval: '${train.num_epochs}'}\n"
        "evaluate: {checkpoint: '${results_dir}/train/x_${.top_k}.tlt', top_k: 3}\n"
        "inference: {image_dir: '${oc.env:NOT_SET_ANYWHERE,/images}', classmap: '\\${plain}'}"
    ),
    "omega_old_env.yaml": v2("results_dir: ${env:NOT_SET_ANYWHERE,out}"),
    "merge_list.yaml": v2(
        "train: &a {num_epochs: 3, reg_config: &r {type: L1, weight_decay: 0.1}, n_workers: 2}\n"
        "prune: {threshold: 0.5}\nretrain: {<<: [*a], num_epochs: 4, reg_config: {<<: *r, weight_decay: 0.2}}"
    ),
    "numbers.yaml": v2(
        "train: {num_epochs: '64', batch_size_per_gpu: 0x10, n_workers: 010, random_seed: 1_000,\n"
        "  reg_config: {weight_decay: 1e-5}, lr_config: {learning_rate: '1e-2', soft_start: .5, min_lr_ratio: 1}}"
    ),
    "bools.yaml": v2(
        "model: {backbone: resnet_18, use_bias: yes, use_pooling: off, freeze_bn: y, all_projections: 'True',\n"
        "  use_batch_norm: 1, retain_head: n}"
    ),
    "bool_two.yaml": v2("model: {backbone: resnet_18, use_bias: 2}"),
    "text_from_number.yaml": v2("results_dir: 2024\ntrain: {wandb: {project: 7, name: True}}"),
    "number_as_key.yaml": "encryption_key: 20241224\ndataset: {train_dataset_path: a, val_dataset_path: b}\n",
    "nulls.yaml": v2(
        "model: {backbone: resnet_18, activation_type: ~}\n"
        "train: {results_dir: null, wandb: {entity: null}}\nevaluate: {trt_engine: null}\n"
        "prune: {byom_model_path: null}"
    ).replace("env:K", "null"),
    "words_for_nothing.yaml": v2("prune: {byom_model_path: None}\nmodel: {backbone: resnet_18, activation_type: None}"),
    "no_workers.yaml": v2("train: {n_workers: 0}\nevaluate: {n_workers: 0}"),
    "kind_lists.yaml": v2(
        "model: {backbone: resnet_18, freeze_blocks: 0}\n"
        "train: {reg_config: {scope: 'Conv2D,Dense'}, lr_config: {annealing_points: '0.3, 0.6'}}"
    ),
    "limits.yaml": v2("train: {label_smoothing: 1.0, lr_config: {soft_start: 1, gamma: 0, step_size: 0}}"),
    "mixup_above_one.yaml": V2_MINIMAL.replace("b}", "b, augmentation: {mixup_alpha: 1.5}}"),
    "divider_one.yaml": v2("train: {lr_config: {scheduler: cosine, annealing_divider: 1}}"),
    "any_case.yaml": v2(
        "train: {reg_config: {type: l2, scope: [CONV2D, dense]}}\nmodel: {backbone: resnet_18,\n"
        "  resize_interpolation_method: bicubic}"
    ),
    "bom.yaml": "\ufeff" + V2_MINIMAL,
    "crlf.yaml": v2("train: {num_epochs: 3}").replace("\n", "\r\n"),
    "json_in_yaml.yaml": '{"dataset": {"train_dataset_path": "a", "val_dataset_path": "b"}, "num_gpus": 2}',
}
ACCEPTED = {**TF1, **V0, **V1, **V2, **API, **LANGUAGE}
REFUSED = {
    "unknown_field.cfg": "model_config {\n  n_layer: 18\n}",
    "no_end.cfg": "train_config {\n  n_epochs: 3\n",
    "slashes.cfg": "train_config {\n  // a comment\n  n_epochs: 3\n}",
    "text_as_number.cfg": "train_config {\n  n_epochs: eighty\n}",
    "half_a_mean.cfg": 'train_config {\n  image_mean { key: "b" value: 1 }\n}',
    "vgg_without_depth.cfg": 'model_config {\n  arch: "vgg"\n}',
    "too_deep.cfg": 'model_config {\n  arch: "resnet"\n  n_layers: 200\n}',
    "unknown_v0.yaml": "key: env:K\ntrain_config:\n  n_epoch: 3\n",
    "unknown_v2.yaml": "encryption_key: env:K\ndataset:\n  augmentation:\n    mixup: 1\n",
    "unknown_top.yaml": "encryption_key: env:K\nx-base: &b\n  n_workers: 2\ndataset: {train_dataset_path: a}\n",
    "dotted.yaml": "encryption_key: env:K\ntrain.num_epochs: 5\n",
    "case_of_keys.yaml": "encryption_key: env:K\nTrain: {num_epochs: 5}\n",
    "unknown.json": '{\n "dataset": {"train_dataset_path": "a"},\n "train": {"epochs": 3}\n}',
    "twice.yaml": "key: env:K\ntrain: {}\ntrain: {}\n",
    "two_documents.yaml": "key: env:K\n---\nkey: env:K\n",
    "tab.yaml": "key: env:K\ntrain:\n\tnum_epochs: 3\n",
    "python_tag.yaml": "key: env:K\ntrain:\n  num_epochs: !!python/name:os.system\n",
    "both_keys.yaml": "key: env:K\nencryption_key: env:L\n",
    "both_backbones.yaml": "encryption_key: env:K\nmodel:\n  backbone: resnet_18\n  arch: resnet_34\n",
    "both_sizes.yaml": "model:\n  backbone: resnet_18\n  input_width: 64\n  input_image_size: [3, 64, 64]\n",
    "real_for_integer.yaml": v2("train:\n  num_epochs: 1e2"),
    "decimal_comma.yaml": v2("train:\n  label_smoothing: 0,5"),
    "float_suffix.yaml": v2("train:\n  label_smoothing: 5e-5f"),
    "unknown_reference.yaml": v2("results_dir: ${nothing.here}"),
    "reference_to_missing.yaml": "results_dir: ???\ntrain:\n  checkpoint: ${results_dir}/x.tlt\n",
    "reference_to_itself.yaml": "results_dir: ${train.checkpoint}\ntrain:\n  checkpoint: ${results_dir}\n",
    "unset_variable.yaml": v2("results_dir: ${oc.env:NOT_SET_ANYWHERE}"),
    "placeholder_key.yaml": "results_dir: out\nkey: $KEY\n",
    "documents_key.yaml": "results_dir: out\nencryption_key: <your key>\n",
    "interpolation.yaml": v2("model:\n  resize_interpolation_method: lanczos"),
    "no_such_release.yaml": "key: env:K\ntao: '3.0'\n",
    "pytorch_4.yaml": "dataset:\n  data: {train: {data_prefix: a}}\nmodel:\n  backbone: {type: fan_tiny_8_p4_hybrid}\n",
    "pytorch_5_3.yaml": "train:\n  train_config: {runner: {max_epochs: 20}}\n",
    "pytorch_6.yaml": "dataset: {train_dataset: {images_dir: a}}\ntrain: {optim: {optim: adamw}}\n",
    "pytorch.json": '{"model": {"backbone": {"type": "fan_small_12_p4_hybrid"}}}',
}
