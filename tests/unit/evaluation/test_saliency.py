import keras
import numpy as np
import pytest
from secateur.errors import ModelError
from secateur.evaluation.saliency import GradCam
from secateur.spec import ModelSpec
from secateur.zoo import build


def two_detectors(softmax_as_layer=False):
    """Class 0 is told by red, class 1 by green; one map each."""
    image = keras.Input((8, 8, 3))
    maps = keras.layers.Conv2D(2, 1, use_bias=False, activation="relu", name="maps")(image)
    pooled = keras.layers.GlobalAveragePooling2D()(maps)
    if softmax_as_layer:
        answers = keras.layers.Activation("softmax")(keras.layers.Dense(2, use_bias=False, name="scores_in")(pooled))
    else:
        answers = keras.layers.Dense(2, use_bias=False, activation="softmax", name="scores_in")(pooled)
    model = keras.Model(image, answers)
    model.get_layer("maps").set_weights([np.array([[1, 0], [0, 1], [0, 0]], np.float32).reshape(1, 1, 3, 2)])
    model.get_layer("scores_in").set_weights([np.array([[300, 0], [0, 300]], np.float32)])
    return model


def spotted():
    """Red in the upper left, green in the lower right."""
    pixels = np.zeros((1, 8, 8, 3), np.float32)
    pixels[0, 1, 1, 0] = pixels[0, 6, 6, 1] = 9
    return pixels


@pytest.mark.parametrize("softmax_as_layer", [False, True])
def test_it_shows_what_speaks_for_the_class_even_where_the_answer_is_certain(softmax_as_layer):
    cam = GradCam(two_detectors(softmax_as_layer))
    assert cam.layer == "maps"
    for label, place in ((0, (1, 1)), (1, (6, 6))):
        heat = cam(spotted(), np.array([label]))[0]
        assert np.unravel_index(heat.argmax(), heat.shape) == place
        assert heat.max() == pytest.approx(1)
        assert heat[6 - place[0] + 1, 6 - place[1] + 1] == 0


def test_nothing_where_nothing_speaks_for_it():
    pixels = np.zeros((1, 8, 8, 3), np.float32)
    assert GradCam(two_detectors())(pixels, np.array([0])).max() == 0


def test_the_model_is_left_as_it_was():
    model = two_detectors()
    before = model.predict(spotted(), verbose=0)
    first = GradCam(model)(spotted(), np.array([0]))
    second = GradCam(model)(spotted(), np.array([0]))
    assert np.array_equal(first, second)
    assert np.array_equal(model.predict(spotted(), verbose=0), before)
    assert all(len(layer._inbound_nodes) == 1 for layer in model.layers)


@pytest.mark.parametrize("arch", ["resnet_10", "mobilenet_v2", "squeezenet", "googlenet", "cspdarknet_tiny"])
def test_backbones(arch):
    model = build(ModelSpec(arch=arch, input_image_size=(3, 64, 64)), 3)
    heat = GradCam(model)(np.random.default_rng(0).normal(size=(2, 64, 64, 3)).astype(np.float32), np.array([0, 2]))
    assert heat.shape == (2, 64, 64)
    assert np.isfinite(heat).all()


def test_a_network_without_maps_is_refused():
    flat = keras.Input((8,))
    with pytest.raises(ModelError, match="Grad-CAM cannot explain this network"):
        GradCam(keras.Model(flat, keras.layers.Dense(2, activation="softmax")(flat)))
