"""What a sweep in config.yaml becomes."""

import pytest
from secateur.errors import SpecError
from secateur.workflow.experiments import Experiments
from secateur.workflow.inputs import Inputs
from secateur.workflow.sweep import AFTER_PRUNING, AFTER_TRAINING, read_sweeps

SPEC = """
key: k
data: {source: images}
model: {arch: resnet_10, use_batch_norm: True}
train: {num_epochs: 3}
prune: {threshold: 0.5, output_path: /elsewhere/pruned.tlt}
results_dir: elsewhere
"""


def sweep(**entry):
    return read_sweeps({"sweep": {"s": {"spec": "spec.yaml", **entry}}})[0]


def experiments(tmp_path, values, spec=SPEC, **more):
    (tmp_path / "spec.yaml").write_text(spec)
    path = str(tmp_path / "spec.yaml")
    return Experiments({"sweep": {"s": {"spec": path, "values": values, **more}}})


def test_points_are_all_combinations_by_name():
    names = [
        point.name for point in sweep(values={"prune.threshold": [0.1, 0.2], "train.reg_config.type": ["L2"]}).points()
    ]
    assert names == ["s.threshold-0.1.type-L2", "s.threshold-0.2.type-L2"]
    odd = sweep(values={"train.lr_config.annealing_points": [[0.1, 0.2], []], "prune.excluded_layers": [["a*", "b"]]})
    assert [point.name for point in odd.points()] == [
        "s.annealing_points-0.1-0.2.excluded_layers-a-b",
        "s.annealing_points-none.excluded_layers-a-b",
    ]
    same = sweep(values={"train.num_epochs": [1], "retrain.num_epochs": [2]})
    assert same.points()[0].name == "s.train-num_epochs-1.retrain-num_epochs-2"


def test_a_name_that_the_configuration_does_not_have(tmp_path):
    found = experiments(tmp_path, {"prune.threshold": [0.1]})
    with pytest.raises(SpecError, match=r"names no 'typo'; it names s.train, s.threshold-0.1"):
        found.run("typo")
    with pytest.raises(SpecError, match=r"names no 'typo'; it names s"):
        Inputs(found).pareto("typo")


def test_values_survive_the_way_through_words(tmp_path):
    found = experiments(
        tmp_path, {"prune.excluded_layers": [["conv1", "block_*"]], "train.lr_config.scheduler": ["step"]}
    )
    (name,) = [name for name in found.specs if name != "s.train.scheduler-step"]
    assert found.specs[name].prune.excluded_layers == ["conv1", "block_*"]
    assert found.specs[name].train.lr_config.scheduler == "step"


def test_a_target_takes_the_place_of_the_threshold(tmp_path):
    found = experiments(tmp_path, {"prune.target_macs": [0.5, 0.25]})
    spec = found.specs["s.target_macs-0.25"]
    assert spec.prune.budget == "target_macs"
    assert spec.results_dir is None
    assert spec.prune.output_path is None, "points do not write over each other"


def test_twelve_thresholds_share_one_training(tmp_path):
    found = experiments(tmp_path, {"prune.threshold": [index / 20 for index in range(12)]})
    assert len(found.specs) == 13
    models = [path for path in found.targets() if path.endswith("/train/model.tlt")]
    assert models == ["results/s.train/train/model.tlt"]
    assert {Inputs(found).model_to_prune(name) for name in found.specs} == set(models)
    assert len([path for path in found.targets() if path.endswith("retrain/model.tlt")]) == 12
    assert "results/s.train/evaluate/train/metrics.json" in Inputs(found).pareto("s")
    assert not [path for path in found.targets() if path.startswith("results/s.threshold-0.05/train")]


def test_points_that_differ_in_retraining_share_the_pruned_model(tmp_path):
    found = experiments(tmp_path, {"retrain.num_epochs": [1, 2], "prune.threshold": [0.1, 0.2]})
    pruned = [path for path in found.targets() if path.endswith("prune/model.tlt")]
    assert pruned == ["results/s.prune.threshold-0.1/prune/model.tlt", "results/s.prune.threshold-0.2/prune/model.tlt"]
    assert Inputs(found).retrain("s.num_epochs-1.threshold-0.1")["model"] == pruned[0]
    stepwise = experiments(tmp_path, {"retrain.num_epochs": [1, 2], "prune.target_macs": [0.5], "prune.steps": [2]})
    assert len([path for path in stepwise.targets() if path.endswith("prune/model.tlt")]) == 2


def test_cuts_without_training_between_them_do_not_depend_on_retrain(tmp_path):
    untrained = {"prune.target_macs": [0.5], "prune.steps": [2], "prune.step_epochs": [0]}
    found = experiments(tmp_path, {"retrain.num_epochs": [1, 2], **untrained})
    (pruned,) = [path for path in found.targets() if path.endswith("prune/model.tlt")]
    assert pruned == "results/s.prune.target_macs-0.5.steps-2.step_epochs-0/prune/model.tlt"
    inputs, points = Inputs(found), [name for name in found.specs if "num_epochs" in name]
    assert len(points) == 2
    assert len({str(inputs.params(name, "prune")) for name in points}) == 1
    assert not inputs.prune(points[0]).keys() & {"manifest", "classmap"}, "l2 looks at no image"
    short = experiments(tmp_path, {"retrain.num_epochs": [1], "prune.target_macs": [0.5], "prune.steps": [2]})
    assert "manifest" in Inputs(short).prune("s.num_epochs-1.target_macs-0.5.steps-2")


def test_another_training_is_another_training(tmp_path):
    found = experiments(tmp_path, {"train.num_epochs": [1, 2], "prune.threshold": [0.1, 0.2]})
    trained = [path for path in found.targets() if path.endswith("/train/model.tlt")]
    assert trained == ["results/s.train.num_epochs-1/train/model.tlt", "results/s.train.num_epochs-2/train/model.tlt"]
    alone = experiments(tmp_path, {"train.num_epochs": [1, 2]})
    assert [path for path in alone.targets() if path.endswith("/train/model.tlt")] == [
        "results/s.num_epochs-1/train/model.tlt",
        "results/s.num_epochs-2/train/model.tlt",
    ]


def test_the_training_of_a_sweep_does_not_depend_on_the_list_of_values(tmp_path):
    before = experiments(tmp_path, {"prune.threshold": [0.1, 0.2]})
    after = experiments(tmp_path, {"prune.threshold": [0.3, 0.2]})
    assert before.described("s.train") == after.described("s.train")
    assert Inputs(before).params("s.train", "train") == Inputs(after).params("s.train", "train")


def test_owners():
    entry = sweep(values={"prune.threshold": [0.1], "retrain.num_epochs": [2]})
    (point,) = entry.points()
    assert entry.owner(point, AFTER_TRAINING, "train").name == "s.train"
    assert entry.owner(point, AFTER_PRUNING, "prune").name == "s.prune.threshold-0.1"
    alone = sweep(values={"train.num_epochs": [1]})
    assert alone.owner(alone.points()[0], AFTER_TRAINING, "train") == alone.points()[0]


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"values": {}}, r"sweep\.s\.values: must map keys to lists"),
        ({"values": {"prune.threshold": 0.1}}, r"values\.prune\.threshold: must be a list"),
        ({"values": {"prune.threshold": []}}, r"values\.prune\.threshold: must be a list"),
        ({"values": {"key": ["a"]}}, r"values\.key: cannot be varied"),
        ({"values": {"prune.threshold": [0.1, 0.1]}}, "two points have the same name"),
        ({"values": {"prune.threshold": [0.1]}, "max_accuracy_drop": 3}, "max_accuracy_drop: must be 0 to 1"),
        ({"values": {"prune.threshold": [0.1]}, "max_drop": 0.1}, r"sweep\.s\.max_drop: unknown key"),
        ({"values": {f"train.{name}": list(range(11)) for name in "abc"}}, "1331 combinations"),
    ],
)
def test_mistakes(entry, message):
    with pytest.raises(SpecError, match=message):
        sweep(**entry)


def test_a_wrong_key_is_named(tmp_path):
    with pytest.raises(SpecError, match="unknown key") as error:
        experiments(tmp_path, {"prune.treshold": [0.1]})
    assert "threshold" in error.value.hint
    with pytest.raises(SpecError, match="cannot read the spec"):
        Experiments({"sweep": {"s": {"spec": str(tmp_path / "none.yaml"), "values": {"prune.threshold": [0.1]}}}})
    with pytest.raises(SpecError, match="sweep: must map names"):
        read_sweeps({"sweep": ["s"]})


def test_a_point_and_an_experiment_of_one_name(tmp_path):
    (tmp_path / "spec.yaml").write_text(SPEC)
    path = str(tmp_path / "spec.yaml")
    config = {
        "experiments": {"s.threshold-0.1": path},
        "sweep": {"s": {"spec": path, "values": {"prune.threshold": [0.1]}}},
    }
    with pytest.raises(SpecError, match="is the name of an experiment and of a point of a sweep"):
        Experiments(config)
