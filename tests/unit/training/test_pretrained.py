"""Weights of another model: by name and shape, pruned networks as they are, with a report."""

import numpy as np
import pytest
from secateur.errors import ModelError
from secateur.modelfile import save_model
from secateur.pruning import prune
from secateur.spec import ModelSpec, PruneSpec
from secateur.training.pretrained import start_from
from secateur.zoo import build

SPEC = ModelSpec(arch="resnet_10", use_batch_norm=True, input_image_size="3,32,32")


def saved(model, path, **card):
    save_model(model, path, "k", card)
    return path


def test_body_is_taken_and_another_head_is_left(tmp_path):
    source = build(SPEC, 7)
    model, report = start_from(build(SPEC, 4), saved(source, tmp_path / "m.tlt"), "k")
    np.testing.assert_array_equal(model.get_layer("conv1").get_weights()[0], source.get_layer("conv1").get_weights()[0])
    assert set(report.mismatched) == {"predictions_dense"}
    assert report.mismatched["predictions_dense"]["file"][0] == (512, 7)
    assert not report.missing
    assert "1 of other shape: predictions_dense" in str(report)


def test_a_pruned_network_replaces_because_its_file_says_so(tmp_path):
    narrow, _ = prune(build(SPEC, 4), PruneSpec(threshold=1.0))
    model, report = start_from(build(SPEC, 4), saved(narrow, tmp_path / "p.tlt", pruned=True), "k")
    assert report.replaced
    assert model.count_params() == narrow.count_params()


def test_other_shapes_without_that_word_do_not_replace(tmp_path):
    narrow, _ = prune(build(SPEC, 4), PruneSpec(threshold=1.0))
    fresh = build(SPEC, 4)
    with pytest.raises(ModelError, match="no layer fits"):
        start_from(fresh, saved(narrow, tmp_path / "p.tlt"), "k")


@pytest.mark.parametrize(
    ("spec", "classes", "end"),
    [(SPEC, 5, "output"), (ModelSpec(arch="resnet_10", input_image_size="3,48,48"), 4, "input")],
)
def test_a_pruned_network_must_fit_the_spec(tmp_path, spec, classes, end):
    with pytest.raises(ModelError, match=f"network's {end} is"):
        start_from(build(spec, classes), saved(build(SPEC, 4), tmp_path / "p.tlt", pruned=True), "k")
