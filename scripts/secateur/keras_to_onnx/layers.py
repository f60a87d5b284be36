"""The table of the functions that write Keras layers as ONNX, one for every layer of models/layer_kinds.py."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from keras import layers

from secateur.keras_to_onnx import activations, convolutions, normalisations, reshaping
from secateur.keras_to_onnx.nodes import Nodes
from secateur.models.graph import Call

# (nodes so far, the call of a layer, names of the tensors that it reads) -> name of the tensor that it makes.
Emitter = Callable[[Nodes, Call, list[str]], str]
# Layers that change nothing at inference.
ONLY_IN_TRAINING = (
    layers.Identity,
    layers.Dropout,
    layers.SpatialDropout2D,
    layers.GaussianDropout,
    layers.GaussianNoise,
    layers.ActivityRegularization,
)
# By exact class, since a derived class may compute something else. The writer itself writes the input.
EMITTERS: dict[Any, Emitter] = {
    layers.Conv2D: convolutions.convolution,
    layers.DepthwiseConv2D: convolutions.depthwise,
    layers.SeparableConv2D: convolutions.separable,
    layers.Conv2DTranspose: convolutions.transposed,
    layers.Dense: convolutions.dense,
    layers.BatchNormalization: normalisations.batch_norm,
    layers.LayerNormalization: normalisations.layer_norm,
    layers.GroupNormalization: normalisations.group_norm,
    layers.Rescaling: normalisations.rescaling,
    layers.Activation: activations.activation,
    layers.ReLU: activations.relu,
    layers.LeakyReLU: activations.leaky_relu,
    layers.PReLU: activations.parametric_relu,
    layers.ELU: activations.elu,
    layers.Softmax: activations.softmax,
    **dict.fromkeys(reshaping.MERGE_OPS, reshaping.merge),
    layers.Concatenate: reshaping.concatenate,
    layers.MaxPooling2D: reshaping.max_pool,
    layers.AveragePooling2D: reshaping.average_pool,
    layers.GlobalAveragePooling2D: reshaping.global_pool,
    layers.GlobalMaxPooling2D: reshaping.global_pool,
    layers.ZeroPadding2D: reshaping.zero_padding,
    layers.Cropping2D: reshaping.cropping,
    layers.UpSampling2D: reshaping.up_sampling,
    layers.Flatten: reshaping.flatten,
    layers.Reshape: reshaping.reshape,
    layers.Permute: reshaping.permute,
    **dict.fromkeys(ONLY_IN_TRAINING, reshaping.identity),
}
