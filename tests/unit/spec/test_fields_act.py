"""Every key of the spec acts: a tiny run takes its value from the real section, or the key says why it does nothing."""

import inspect
import sys
from pathlib import Path

import pytest
from secateur.cli.main import main
from secateur.data.splitting import image_roots
from secateur.export.engine_options import engine_options
from secateur.spec import LrConfig, ModelSpec, OptimConfig, Spec, TrainSpec, load_spec, parse_spec
from secateur.spec.effects import all_keys, keys_without_effect, nested_section
from secateur.spec.fields import Section, about
from secateur.tracking.services import SERVICES
from secateur.training.checkpoints import TrainingState
from secateur.training.extension import extension
from secateur.training.optimizers import optimizer_of
from secateur.training.rates import rate_of_batch
from secateur.training.schedules import learning_rate
from secateur.zoo import build

# Keys that are part of another key's value when the spec is read.
READ_WITH_ANOTHER = {("ModelSpec", "n_layers"): ("resnet", 18, "resnet_18")}
SPEC = """
key: env:TEST_KEY
data: {source: images, preprocess_mode: caffe, image_mean: [1, 2, 3], num_classes: 2, cache: never}
model: {arch: resnet_10, input_image_size: [3, 32, 32], use_batch_norm: True}
train:
  num_epochs: 1
  batch_size_per_gpu: 8
  n_workers: 2
  bn_config: {momentum: 0.9, epsilon: 0.001}
  reg_config: {type: l1}
prune: {target_macs: 0.5, importance: random}
retrain: {distill: {alpha: 0.5}}
inference: {image_dir: images/dark}
export:
  {output_path: EXPORTDIR/m.onnx, data_type: int8, int8_max_drop: 0.5, calibration: {images: 4}, batches: 1,
   batch_size: 4}
"""
# Functions that read a spec: what they look at is not used yet.
READING = ("typed", "model_dump")


@pytest.fixture(scope="module")
def taken():
    """(section, key) of every value that code outside the spec package takes while this fixture is there."""
    found = set()
    original = Section.__getattribute__

    def noting(self, name):
        fields = type(self).__pydantic_fields__
        if name in fields:
            caller = sys._getframe(1)
            # Properties of a section stand for it: what they read is used by who asks them.
            while caller is not None and "/secateur/spec/" in caller.f_code.co_filename:
                if caller.f_code.co_name in READING:
                    return original(self, name)
                caller = caller.f_back
            if caller is not None and "/secateur/" in caller.f_code.co_filename:
                found.add((owner(type(self), name), name))
        return original(self, name)

    Section.__getattribute__ = noting
    yield found
    del Section.__getattribute__


def owner(section, name):
    """The class that has the key: retrain has those of train."""
    return next(base for base in reversed(section.__mro__) if name in inspect.get_annotations(base)).__name__


@pytest.fixture(scope="module")
def chain(taken, tmp_path_factory):
    """The values that a tiny run of all commands takes."""
    from tests.conftest import write_class_folders

    folder = tmp_path_factory.mktemp("chain")
    write_class_folders(folder / "images")
    (folder / "one.yaml").write_text(SPEC)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("TEST_KEY", "k")
        for command in ("train", "prune", "retrain", "inference", "export", "report"):
            if command == "report":
                assert main(["evaluate", "-e", "one.yaml", "evaluate.model_path=RESULTSDIR/train/model.tlt"]) == 0
                assert main(["evaluate", "-e", "one.yaml"]) == 0
            assert main([command, "-e", "one.yaml"]) == 0, command
        other_ways(folder)
    return taken


def other_ways(folder):
    """What the run does not reach: other schedules, optimizers, backbones, budgets, engines."""
    from secateur.pruning import prune

    for scheduler in ("step", "soft_anneal", "cosine"):
        learning_rate(LrConfig(scheduler=scheduler), 0.5)
    for optimizer in ("sgd", "adam", "rmsprop"):
        optimizer_of(OptimConfig(optimizer=optimizer), 0.1)
    for arch in ("vgg_16", "mobilenet_v2"):
        build(ModelSpec(arch=arch, input_image_size=(3, 32, 32)), 2)
    spec = parse_spec("prune: {target_latency_ms: 1000}\nmodel: {arch: resnet_10, input_image_size: [3, 32, 32]}\n")
    prune(build(spec.model, 2), spec.prune)
    engine_options(spec)
    by_tao = parse_spec("train: {lr_config: {compat: tao}, optim_config: {decay: 0.1}}").train
    assert rate_of_batch(by_tao, 10, 100) < rate_of_batch(TrainSpec(), 10, 100)
    extension("train", TrainSpec(num_epochs=2), TrainingState(epoch=1, variables=[0]), 1, 5)
    split_already = "data: {train_dataset_path: a, val_dataset_path: b}\nevaluate: {dataset_path: c}\n"
    assert len(image_roots(parse_spec(split_already))) == 3
    spec = load_spec(folder / "one.yaml", ["gen_trt_engine={}", "export.engine_file=m.engine"])
    assert spec.wants_engine


def sections(section=Spec, prefix=""):
    for name, field in section.__pydantic_fields__.items():
        inner = nested_section(field.annotation)
        if inner is None:
            yield f"{prefix}{name}", section, name, about(field)
        else:
            yield from sections(inner, f"{prefix}{name}.")


KEYS = {path: (section, name, said) for path, section, name, said in sections()}
TRACKED = ("mlflow", "wandb", "clearml")


def test_every_key_says_what_it_affects_or_why_it_does_nothing():
    assert [path for path, (_, _, said) in KEYS.items() if said is None] == []
    assert set(KEYS) == {path for path, _ in all_keys()}
    assert {path for path, (_, _, said) in KEYS.items() if said.no_effect} == set(keys_without_effect())


def test_every_key_has_a_description():
    def described(section, prefix=""):
        for name, field in section.__pydantic_fields__.items():
            assert field.description, f"{prefix}{name}"
            if inner := nested_section(field.annotation):
                described(inner, f"{prefix}{name}.")

    described(Spec)


@pytest.mark.slow
@pytest.mark.parametrize("path", [path for path, (_, _, said) in KEYS.items() if not said.no_effect])
def test_a_key_acts(path, chain):
    section, name, _ = KEYS[path]
    if any(f".{tracker}." in path for tracker in TRACKED):
        pytest.skip("a tracker's own process has it: see the test below")
    if path == "tao":
        assert parse_spec("tao: 5.5").train.optim_config.momentum != Spec().train.optim_config.momentum
        return
    place = owner(section, name), name
    if place in READ_WITH_ANOTHER:
        arch, depth, meant = READ_WITH_ANOTHER[place]
        assert ModelSpec(arch=arch, n_layers=depth).arch == meant
        return
    assert place in chain, f"no step takes the value of {path}"


@pytest.mark.parametrize("tracker", TRACKED)
def test_an_option_of_a_tracker_acts(tracker):
    source = Path(inspect.getsourcefile(SERVICES[tracker])).read_text()
    for path, (_, name, said) in KEYS.items():
        if path.startswith(f"train.{tracker}.") and not said.no_effect:
            assert f'options["{name}"]' in source, path
