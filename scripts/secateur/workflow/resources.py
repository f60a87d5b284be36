"""The resources that a step of a spec asks for: cores, GPUs, memory and time.

Users replace each value with `set-threads` and `set-resources`. No result depends on them. No Keras is imported.
See docs/decisions/threads.md.
"""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

from secateur.runtime.gpu import devices
from secateur.spec import Spec, TrainSpec
from secateur.step_table import ALL_STEPS

# Steps that measure time, and the step that reads all images at once: no other job runs beside them.
ALONE = ("split", "latency", "pareto", "engine")
# Steps whose images `evaluate.n_workers` threads load.
BY_EVALUATE = ("evaluate", "inference", "calibrate", "export")

MB = 1_000_000
# Memory of a process with Keras before the first batch: TensorFlow, its traced functions, tables of images.
KERAS_MB = 2000
# Memory of a step that reads images and has no network.
IMAGES_MB = 4000
# Outputs of all layers of a network in float32, bytes for each pixel of the input; and its parameters in millions.
# bench/memory.py counts them for every backbone.
NETWORKS: dict[str, tuple[int, float]] = {
    "resnet_10": (516, 4.9),
    "resnet_18": (768, 11.2),
    "resnet_34": (1160, 21.3),
    "resnet_50": (3296, 23.6),
    "resnet_101": (4792, 42.6),
    "resnet_152": (6640, 58.3),
    "efficientnet-b0": (1769, 4.1),
    "efficientnet-b1": (2536, 6.6),
    "efficientnet-b2": (2661, 7.8),
    "efficientnet-b3": (3527, 10.8),
    "efficientnet-b4": (4661, 17.7),
    "efficientnet-b5": (6469, 28.6),
    "efficientnet-b6": (8292, 41.0),
    "efficientnet-b7": (11164, 64.1),
    "vgg_16": (3240, 14.7),
    "vgg_19": (3552, 20.1),
    "mobilenet_v1": (1348, 3.2),
    "mobilenet_v2": (1745, 2.3),
    "googlenet": (1102, 6.0),
    "squeezenet": (994, 0.7),
    "darknet_19": (1142, 19.9),
    "darknet_53": (2604, 40.6),
    "cspdarknet_19": (1518, 16.2),
    "cspdarknet_53": (3466, 26.7),
    "cspdarknet_tiny": (500, 3.6),
    "alexnet": (122, 3.8),
}
# For the user's own network, which is not read here.
UNKNOWN = (5000, 60.0)
# Memory per image, in shares of these outputs. Measured: 1.0 to 1.7 in a training step, with gradients (the most
# with swish), and about 0.2 for predictions.
TRAINING, ANSWERING = 2.0, 0.25
# Bytes per parameter: weights, gradient, two moments, the best weights, and the files while they are written; or only
# the weights and one copy.
TRAINED, LOADED = 40, 12
# Batches in memory: four that are prepared in advance (`data.pipeline`), those being prepared, and the one in use.
BATCHES = 8
# Pixels per batch in export and calibration (`export.final_model`).
SHIPPED_BATCH_PIXELS = 1 << 18

EPOCH_MIN, LEAST_TRAINING_MIN, OTHER_MIN = 4, 240, 30
# There can be many images, or they can be on a remote filesystem.
STEP_MIN = {"split": 120, "cache": 120, "evaluate": 60, "inference": 60, "calibrate": 60}


@dataclass(frozen=True)
class Machine:
    """The machine that the jobs of a workflow share.

    Attributes:
        given: cores that Snakemake may use; None: the user has not set them, as usual on a cluster.
        environment: the environment variables that choose GPUs; see `runtime.gpu.devices`.
        runs_jobs: whether jobs run on this machine and not on others.
    """

    given: int | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    runs_jobs: bool = True

    @property
    def cores(self) -> int:
        """The cores that one job can have."""
        if self.given is None or self.given == sys.maxsize:
            return len(os.sched_getaffinity(0))
        return self.given

    @cached_property
    def gpus(self) -> int:
        """The GPUs that the jobs on this machine share."""
        return len(devices(self.environment)) if self.runs_jobs else 0


def gpus_of(spec: Spec, step: str) -> int:
    """The number of GPUs of a step of this spec."""
    if not ALL_STEPS[step].uses_gpu:
        return 0
    if step == "prune":
        return int(spec.prune is not None and spec.prune.needs_images)
    return _training(spec, step).gpus if step in ("train", "retrain") else 1


def threads_of(spec: Spec, step: str, machine: Machine) -> int:
    """The number of cores of a step.

    A step with images asks for the number of threads that load them; a step that measures time asks for all cores. If
    there are GPUs, a step takes only the cores that belong to its GPUs, so that each GPU can have a job.
    """
    if step in ALONE or (step == "prune" and _times_networks(spec)):
        return machine.cores
    gpus = gpus_of(spec, step)
    share = machine.cores * gpus // machine.gpus if gpus and machine.gpus else machine.cores
    return max(1, min(_workers(spec, step), share))


def mem_mb_of(spec: Spec, step: str) -> int:
    """The memory of a step in MB of 1,000,000 bytes, as it needs on a CPU.

    On a GPU the outputs of layers are in the GPU's memory, so this is more than enough there.
    """
    if step in ("train", "retrain"):
        return _rounded(_training_mb(spec, _training(spec, step)))
    if step == "prune":
        return _rounded(_pruning_mb(spec))
    if step in ("evaluate", "inference"):
        return _rounded(_answering_mb(spec, spec.evaluate.batch_size))
    if step == "calibrate":
        # The outputs of all layers of one batch are measured.
        return _rounded(KERAS_MB + _weights_mb(spec, LOADED) + SHIPPED_BATCH_PIXELS * _kept_bytes(spec) / MB)
    if step in ("export", "latency", "engine", "bundle", "report"):
        return _rounded(_answering_mb(spec, SHIPPED_BATCH_PIXELS // _pixels(spec) or 1))
    return IMAGES_MB


def runtime_min_of(spec: Spec, step: str) -> int:
    """The minutes of a step. The number of images and the speed of the machine are not known yet.

    A training that reaches this limit is not lost: it writes a checkpoint and resumes in its next job.
    """
    if step in ("train", "retrain"):
        return max(LEAST_TRAINING_MIN, EPOCH_MIN * _training(spec, step).num_epochs)
    if step == "prune" and spec.prune is not None and spec.prune.trains:
        return OTHER_MIN + EPOCH_MIN * spec.prune.steps * spec.prune.step_epochs
    return STEP_MIN.get(step, OTHER_MIN)


def _training(spec: Spec, step: str) -> TrainSpec:
    """The section of a training, or of the short training between two cuts."""
    return spec.train if step == "train" else spec.retrain or spec.train


def _times_networks(spec: Spec) -> bool:
    return spec.prune is not None and spec.prune.budget == "target_latency_ms"


def _workers(spec: Spec, step: str) -> int:
    """The number of threads that load the images of a step; 1 if it reads none or few."""
    if step in ("train", "retrain"):
        return _training(spec, step).n_workers
    if step == "cache":
        return spec.train.n_workers
    if step == "prune" and spec.prune is not None and spec.prune.needs_images:
        return (_training(spec, step) if spec.prune.trains else spec.train).n_workers
    return spec.evaluate.n_workers if step in BY_EVALUATE else 1


def _training_mb(spec: Spec, section: TrainSpec) -> float:
    kept = section.batch_size * _pixels(spec) * _kept_bytes(spec) * TRAINING / MB
    return KERAS_MB + _weights_mb(spec, TRAINED) + kept + _batches_mb(spec, section.batch_size)


def _answering_mb(spec: Spec, batch: int) -> float:
    kept = batch * _pixels(spec) * _kept_bytes(spec) * ANSWERING / MB
    return KERAS_MB + _weights_mb(spec, LOADED) + kept + _batches_mb(spec, batch)


def _pruning_mb(spec: Spec) -> float:
    section = spec.prune
    if section is None or not section.needs_images:
        return KERAS_MB + _weights_mb(spec, TRAINED)
    # The images are in memory, and twice while they are sorted.
    images = 2 * section.images * _image_bytes(spec) / MB
    return images + _training_mb(spec, _training(spec, "retrain") if section.trains else spec.train)


def _batches_mb(spec: Spec, batch: int) -> float:
    """The bytes of the batches that are prepared in advance."""
    return BATCHES * batch * _image_bytes(spec) / MB


def _weights_mb(spec: Spec, bytes_a_parameter: int) -> float:
    return _network(spec)[1] * bytes_a_parameter


def _kept_bytes(spec: Spec) -> int:
    return _network(spec)[0]


def _network(spec: Spec) -> tuple[int, float]:
    """The bytes per pixel of all outputs, and the parameters in millions."""
    return NETWORKS.get(spec.model.arch, UNKNOWN)


def _pixels(spec: Spec) -> int:
    _, height, width = spec.model.input_image_size
    return height * width


def _image_bytes(spec: Spec) -> int:
    """The bytes of one image as network input, float32."""
    return 4 * spec.model.input_image_size[0] * _pixels(spec)


def _rounded(mb: float) -> int:
    return math.ceil(mb / 100) * 100
