"""A model's outputs are put into the order of a class map by the names in its card, or the model is refused."""

import keras
import numpy as np
import pytest
from keras import layers
from secateur.errors import ModelError
from secateur.models.class_order import in_class_order
from secateur.spec import ModelSpec
from secateur.zoo import build

OWN, WANTED = ["cat", "dog", "eel"], ["eel", "cat", "dog"]
IMAGES = np.random.default_rng(0).normal(size=(3, 32, 32, 3)).astype(np.float32)


def with_head(*head):
    """A network whose last layers are these."""
    image = x = layers.Input((32, 32, 3))
    for layer in (layers.Conv2D(4, 3, strides=8, activation="relu"), *head):
        x = layer(x)
    return keras.Model(image, x)


HEADS = {
    "dense": lambda: with_head(layers.Flatten(), layers.Dense(3, activation="softmax")),
    "dense without bias": lambda: with_head(layers.Flatten(), layers.Dense(3, use_bias=False), layers.Softmax()),
    "convolution": lambda: with_head(
        layers.Conv2D(3, 1), layers.GlobalAveragePooling2D(), layers.Activation("softmax")
    ),
    "reshaped": lambda: with_head(layers.Conv2D(3, 4), layers.Reshape((3,)), layers.Dropout(0.5), layers.Softmax()),
    "resnet_10": lambda: build(ModelSpec(arch="resnet_10", input_image_size="3,32,32"), 3),
    "squeezenet": lambda: build(ModelSpec(arch="squeezenet", input_image_size="3,32,32"), 3),
    "googlenet": lambda: build(ModelSpec(arch="googlenet", input_image_size="3,32,32"), 3),
}


@pytest.mark.parametrize("head", HEADS)
def test_outputs_follow_their_names(head):
    model = HEADS[head]()
    before = model.predict_on_batch(IMAGES)
    said = in_class_order(model, {"classes": OWN}, WANTED, "m.tlt")
    after = model.predict_on_batch(IMAGES)
    np.testing.assert_allclose(after, before[:, [2, 0, 1]], atol=1e-6)
    assert said.startswith("m.tlt: the model has its 3 classes in another order")


def test_the_same_order_changes_nothing_and_says_nothing():
    model = HEADS["dense"]()
    before = model.get_weights()
    assert in_class_order(model, {"classes": OWN}, OWN, "m.tlt") == ""
    for one, other in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_file_without_names_is_said():
    assert "does not name its classes" in in_class_order(HEADS["dense"](), {}, OWN, "m.tlt")


def test_other_classes_are_refused_with_both_lists():
    with pytest.raises(ModelError, match=r"m.tlt: .* the classes cat, dog, eel; the class map has bus, cat, dog\n"):
        in_class_order(HEADS["dense"](), {"classes": OWN}, ["bus", "cat", "dog"], "m.tlt")


def test_of_many_classes_the_different_ones_are_named():
    own, wanted = [f"c{number:02d}" for number in range(40)], [f"c{number:02d}" for number in range(1, 41)]
    with pytest.raises(ModelError, match=r"and 30 more; only the model has c00, only the class map c40\n"):
        in_class_order(HEADS["dense"](), {"classes": own}, wanted, "m.tlt")


NOT_REORDERED = {
    "normalised": (layers.Flatten(), layers.Dense(3), layers.BatchNormalization()),
    "shuffled": (layers.Conv2D(3, 3), layers.Permute((2, 3, 1)), layers.GlobalAveragePooling2D()),
}


@pytest.mark.parametrize("head", NOT_REORDERED.values(), ids=NOT_REORDERED)
def test_a_head_that_cannot_be_reordered_is_refused(head):
    model = with_head(*head)
    before = model.get_weights()
    with pytest.raises(ModelError, match="not ones whose outputs can be reordered"):
        in_class_order(model, {"classes": OWN}, WANTED, "m.tlt")
    for one, other in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
