"""The list of Keras layers that a model may hold, and advice about layers that it may not hold.

The reader's allow-list is this list, and `save_model` writes nothing else. The pruner's rules and the ONNX writer's
emitters are beside their code (pruning/layer_rules.py, keras_to_onnx/layers.py) and have an entry for each layer
here. tests/unit/models/test_layer_kinds.py saves, loads, prunes and writes a network with each layer.
"""

from __future__ import annotations

import re
from typing import Literal

# What pruning can do to a layer.
#   filters    its own filters can be removed; those of a depthwise convolution go with the channels that it reads
#   inputs     only the channels that it reads can be removed
#   follows    it has no filters and works on the channels that are left
#   needs all  it can lose none of the channels that it reads; pruning names it when it would
PruningRole = Literal["filters", "inputs", "follows", "needs all"]

LAYER_KINDS: dict[str, PruningRole] = {
    "InputLayer": "needs all",
    "Conv2D": "filters",
    "DepthwiseConv2D": "filters",
    "SeparableConv2D": "filters",
    "Conv2DTranspose": "inputs",
    "Dense": "filters",
    "BatchNormalization": "follows",
    "LayerNormalization": "needs all",
    "GroupNormalization": "needs all",
    "Rescaling": "follows",
    "Activation": "follows",
    "ReLU": "follows",
    "LeakyReLU": "follows",
    "PReLU": "follows",
    "ELU": "follows",
    "Softmax": "needs all",
    "Add": "follows",
    "Subtract": "follows",
    "Multiply": "follows",
    "Average": "follows",
    "Maximum": "follows",
    "Minimum": "follows",
    "Concatenate": "follows",
    "MaxPooling2D": "follows",
    "AveragePooling2D": "follows",
    "GlobalMaxPooling2D": "follows",
    "GlobalAveragePooling2D": "follows",
    "ZeroPadding2D": "follows",
    "Cropping2D": "follows",
    "UpSampling2D": "follows",
    "Flatten": "follows",
    "Reshape": "follows",
    "Permute": "follows",
    "Identity": "follows",
    "Dropout": "follows",
    "SpatialDropout2D": "follows",
    "GaussianDropout": "follows",
    "GaussianNoise": "follows",
    "ActivityRegularization": "follows",
}
ALLOWED_LAYERS = frozenset(LAYER_KINDS)
# Objects in a model's configuration that are not layers.
ALLOWED_PARTS = frozenset(("Functional", "DTypePolicy"))

# Patterns of refused layers -> what to do. The first pattern that matches counts.
_INSTEAD = (
    (
        r"Lambda|TFSMLayer|TorchModuleWrapper|JaxLayer|FlaxLayer",
        "it would run code of the file: write the same function with plain layers",
    ),
    (r"Sequential", "save keras.Model(model.inputs, model.outputs) instead"),
    (r".*(1D|3D)(Transpose)?", "networks here take images: use the 2D form of the layer"),
    (
        r"Random.*|RandAugment|AugMix|AutoContrast|CutMix|MixUp|Equalization|Solarization|ContrastLimited.*|Pipeline"
        r"|MaxNumBoundingBoxes",
        "leave it out of the model: the section `augment` of the spec changes training images",
    ),
    (
        r"Normalization|Resizing|CenterCrop",
        "leave it out of the model: images are scaled by data.preprocess_mode and cut to model.input_image_size",
    ),
    (
        r".*(RNN|LSTM|GRU)(Cell|Cells|2D)?|.*Attention|.*Embedding|Masking|RepeatVector|TimeDistributed|Bidirectional"
        r"|EinsumDense|.*Spectrogram",
        "networks here take images: use a network of convolutions",
    ),
    (
        r"StringLookup|IntegerLookup|TextVectorization|Hashing|HashedCrossing|Discretization|CategoryEncoding",
        "networks here take images: remove layers for text and tables",
    ),
    (r"RMSNormalization|UnitNormalization", "use LayerNormalization or BatchNormalization"),
    (r"SpectralNormalization|Wrapper", "use the layer inside it, with the weights that it has at inference"),
    (r"AlphaDropout", "use Dropout; at inference both do nothing"),
    (r"Adaptive.*2D", "use GlobalAveragePooling2D or GlobalMaxPooling2D, or AveragePooling2D or MaxPooling2D"),
    (r"Dot", "use Multiply and a Dense or Conv2D layer"),
)


def instead_of(kind: str) -> str:
    """What to do about a layer that is not on the list.

    Args:
        kind: name of its class; one that nobody knows gets general advice.
    """
    for pattern, advice in _INSTEAD:
        if re.fullmatch(pattern, kind):
            return advice
    return "use models of plain Keras layers only; docs/pruning.md lists them"


def layers_of_role(*roles: PruningRole) -> tuple[str, ...]:
    """Names of the layers with these roles."""
    return tuple(name for name, role in LAYER_KINDS.items() if role in roles)
