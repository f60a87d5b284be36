"""What a spec file of TAO says, and what is different here: its release, its defaults, and one line per difference.

See docs/differences-from-tao.md.
"""

from __future__ import annotations

from collections.abc import Iterator

from secateur.spec.architectures import family_name
from secateur.spec.notices import Notice
from secateur.spec.release_defaults import ALL_DEFAULTS, DEFAULTS, REQUIRED_BY_TF1, THREADS, open_rows
from secateur.spec.spec import Spec
from secateur.spec.tao_releases import CHOSEN, V2, Release
from secateur.spec.translated import Translated, value_at

# Releases that leave out the last batch of an epoch if it is not full.
WHOLE_BATCHES = (Release.TF1, Release.V0, Release.TAO_4_0)
# Keys that only secateur has: with one of them a file is no file of TAO.
OWN_WORDS = {"retrain", "data.source", "data.split", "prune.target_macs", "prune.target_params", "tao"}
TAO_SCHEDULE = "train.lr_config.compat: tao does as TAO"
# TAO's first rate of soft_anneal.
SOFT_ANNEAL_START = 3e-4

# Scheduler -> key -> what TF1 does if it is absent.
WITHOUT_A_DEFAULT = {
    "step": {"step_size": "0 if absent, and the training ends with a division by zero"},
    "soft_anneal": {"annealing_divider": "0 if absent, and the training ends with a division by zero"},
}


def release_notices(source: Translated) -> Iterator[Notice]:
    """The release of the file, the evidence for it, and the defaults that its words do not settle."""
    found = source.found
    evidence = ", ".join(found.evidence[:4]) or "no word of another release"
    if found.release is Release.SPECIFICATION:
        if not source.explicit & OWN_WORDS:
            text = f"the specification's words ({evidence}); its tables give the defaults, tao: 4.0 those of TAO's code"
            yield Notice("release", "", text)
        return
    filled = [path for path in DEFAULTS[found.release] if path not in source.explicit]
    defaults = f"{len(filled)} values are its defaults; `secateur check` shows all"
    yield Notice("release", "", f"{found.release.in_words} ({evidence}); {defaults}")
    if len(found.candidates) > 1:
        choices = " or ".join(f"tao: {name}" for name in CHOSEN if CHOSEN[name] in found.candidates)
        for path, values in open_rows(source.explicit, found.candidates).items():
            yield Notice("release", source.written(path), f"absent, and releases differ: {values}; {choices} decides")
    if found.release in (Release.V0, Release.TAO_4_0) and "train.qat" not in source.explicit:
        yield Notice("release", "train.qat", "absent, and True in this release: the network is trained for int8")
    if found.release is Release.TF1:
        for path in REQUIRED_BY_TF1:
            if path not in source.explicit and not _is_optional(source, path):
                yield Notice("warning", path, "absent; TAO refuses such a file; secateur's default is used")


def _is_optional(source: Translated, path: str) -> bool:
    """Whether a file without this key has no training to set it for."""
    if not isinstance(source.parsed.values.get("train_config"), dict):
        return True
    unpenalised = str(value_at(source.values, "train.reg_config.type")).lower() == "none"
    return path.startswith("train.reg_config.") and unpenalised


def origins(source: Translated) -> dict[str, str]:
    """Dotted path of V1 -> where its value comes from: a line of the file, or the release whose default it is."""
    found: dict[str, str] = {}
    for path in source.explicit:
        line = source.parsed.line(source.written(path))
        found[path] = "command line" if source.on_command_line(path) else f"line {line}" if line else "file"
    for path in DEFAULTS[source.found.release]:
        found.setdefault(path, source.found.release.in_words)
    return found


def differences(spec: Spec, source: Translated) -> Iterator[Notice]:
    """`TAO: X, here: Y` for every key of this file that acts differently here, with the way to get TAO's."""
    release = source.found.release
    if release is Release.SPECIFICATION:
        return
    for key, tao, here in (
        *_schedule(spec),
        *_absent_of_tf1(spec, source, release),
        *_required_before_5_5(spec, source, release),
        *_training(spec, source, release),
        *_data(spec, source, release),
        *_evaluation(spec, source, release),
        *_pruning(spec),
        *_export(spec, source, release),
    ):
        yield Notice("differs", source.written(key), f"TAO: {tao}; here: {here}")


Difference = tuple[str, str, str]


def _schedule(spec: Spec) -> Iterator[Difference]:
    lr_config, optimizer = spec.train.lr_config, spec.train.optim_config
    key = "train.lr_config.scheduler"
    if lr_config.compat == "tao":
        return
    if lr_config.scheduler == "step":
        yield key, "the rate falls a little at each batch", f"in steps, as documented; {TAO_SCHEDULE}"
    if lr_config.scheduler == "cosine" and lr_config.soft_start:
        yield (
            key,
            "the rate never reaches min_lr_ratio, since soft_start is not counted",
            f"it does, as documented; {TAO_SCHEDULE}",
        )
    if lr_config.scheduler == "soft_anneal" and lr_config.soft_start and lr_config.learning_rate < SOFT_ANNEAL_START:
        yield key, "the first rate is 3e-4, above the base rate", f"never above the base rate; {TAO_SCHEDULE}"
    if optimizer.decay:
        yield (
            "train.optim_config.decay",
            f"the rate is divided by 1 + {optimizer.decay:g} x batches, though documented as not useful",
            f"no effect; {TAO_SCHEDULE}",
        )


def _absent_of_tf1(spec: Spec, source: Translated, release: Release) -> Iterator[Difference]:
    """Values of a schedule that TF1 does not fill in, so that its training fails."""
    lr_config = spec.train.lr_config
    if release is not Release.TF1:
        return
    for key, effect in WITHOUT_A_DEFAULT.get(lr_config.scheduler, {}).items():
        if f"train.lr_config.{key}" not in source.explicit:
            yield f"train.lr_config.{key}", effect, f"{getattr(lr_config, key):g}"


def _required_before_5_5(spec: Spec, source: Translated, release: Release) -> Iterator[Difference]:
    """Keys without which the code of TAO 5.0 to 5.3 stops, and what is used here."""
    if release is not Release.TAO_5_0:
        return
    effect = "stops if absent"
    if "data.num_classes" not in source.explicit:
        yield "data.num_classes", effect, "as many as there are classes in the images"
    if "results_dir" not in source.explicit:
        yield "results_dir", effect, "results/ and the name of the experiment"
    if spec.prune is not None and spec.prune.threshold is not None and "prune.threshold" not in source.explicit:
        yield "prune.threshold", effect, f"{spec.prune.threshold:g}"


def _training(spec: Spec, source: Translated, release: Release) -> Iterator[Difference]:
    optimizer = spec.train.optim_config
    if release is Release.TF1 and optimizer.optimizer != "sgd" and "train.optim_config.epsilon" not in source.explicit:
        yield (
            "train.optim_config.epsilon",
            "0 if absent, so that a weight without gradient becomes NaN",
            f"{optimizer.epsilon:g}",
        )
    if release in WHOLE_BATCHES:
        yield "train.batch_size_per_gpu", "the last batch of an epoch is left out unless it is full", "it counts"
    yield (
        "train.num_epochs",
        "the model of the last epoch",
        "the one of the epoch with the best validation accuracy; both are in the checkpoints",
    )
    family = family_name(spec.model.arch)
    if "model.dropout" in source.explicit and spec.model.dropout and family in ("vgg", "squeezenet"):
        if release is not Release.TF1:
            yield "model.dropout", "never used", "used"
        elif family == "vgg" and not spec.model.retain_head:
            yield "model.dropout", "used with retain_head only", "used before the dense layer too"


def _data(spec: Spec, source: Translated, release: Release) -> Iterator[Difference]:
    yield "data.train_dataset_path", "EXIF orientation is ignored", "images are turned as EXIF says"
    mode = value_at(source.parsed.values, source.written("data.preprocess_mode"))
    if isinstance(mode, str) and mode not in ("tf", "torch", "caffe") and release is not Release.TF1:
        yield "data.preprocess_mode", f"{mode} is read as caffe, since only lower case counts", mode.lower()
    if release in (Release.TAO_5_5, Release.TAO_6_0) and spec.data.num_classes is None:
        yield "data.num_classes", "20 if absent", "as many as there are classes in the images"
    if release in (Release.V0, Release.TAO_4_0) and spec.model.resize_interpolation_method == "bicubic":
        yield "model.resize_interpolation_method", "bilinear while training, whatever is set", "bicubic"
    if spec.augment.enable_color_augmentation and not spec.augment.enable_random_crop:
        yield "augment.enable_color_augmentation", "no effect without enable_random_crop", "it acts"


def _evaluation(spec: Spec, source: Translated, release: Release) -> Iterator[Difference]:
    threads = ALL_DEFAULTS[release].get(THREADS)
    if threads and THREADS not in source.explicit:
        yield THREADS, f"{threads} threads", f"{spec.evaluate.n_workers}, since they are cores of the job"
    if release is Release.TF1 and "evaluate.top_k" not in source.explicit and "evaluate" in source.explicit:
        yield "evaluate.top_k", "0, so that the accuracy is 0", f"{spec.evaluate.top_k}"


def _pruning(spec: Spec) -> Iterator[Difference]:
    if spec.prune is not None:
        yield (
            "prune.excluded_layers",
            "heads are protected by their names",
            "by structure: the last prunable layers before an output keep all channels",
        )


def _export(spec: Spec, source: Translated, release: Release) -> Iterator[Difference]:
    int8 = "int8" in (spec.exported_type, spec.engine_type) and not spec.trained_for_int8
    if int8 and release in V2 and not {"export.batch_size", "export.batches"} & source.explicit:
        yield (
            "export.batches",
            "ranges for int8 come from 1 image (cal_batch_size 1, cal_batches 1)",
            f"from {spec.export.calibration_images} images",
        )
