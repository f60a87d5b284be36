"""`nvinfer_config.txt` and its labels, for DeepStream's classifier element, generated from the spec.

nvinfer computes net-scale-factor * (pixel - offset), with one factor for all channels (DeepStream Developer Guide,
Gst-nvinfer).
"""

from __future__ import annotations

from secateur.export.exported_files import Exported
from secateur.export.input_scaling import fed_scaling
from secateur.keras_to_onnx.tensor_names import OUTPUT_NAME
from secateur.spec import Spec

NETWORK_MODES = {"fp32": 0, "int8": 1, "fp16": 2}
COLOR_FORMATS = {"RGB": 0, "BGR": 1, "gray": 2}
CLASSIFIER = 1
SEPARATOR = ";"


def nvinfer_config(spec: Spec, file: Exported, data_type: str, classes: list[str]) -> str:
    """The text of the file.

    Args:
        spec: describes the network's input.
        file: the model that TensorRT reads.
        data_type: precision of the engine.
        classes: names in index order.
    """
    reason = _inexpressible(spec) or _no_labels(classes)
    if reason:
        return f"# nvinfer cannot feed this model: {reason}.\n"
    mean, scale, order = fed_scaling(spec)
    channels, height, width = spec.model.input_image_size
    lines = [
        "# For DeepStream, generated from the spec. Use this file; do not copy its numbers by hand.",
        *_remarks(spec, file),
        "[property]",
        "gpu-id=0",
        f"onnx-file={file.plain_name}",
        f"model-engine-file={file.plain_name.removesuffix('.onnx')}.engine",
        "labelfile-path=nvinfer_labels.txt",
        f"batch-size={spec.export.opt_batch_size or 1}",
        f"network-mode={NETWORK_MODES[data_type]}",
        f"network-type={CLASSIFIER}",
        f"infer-dims={channels};{height};{width}"
        if spec.export.layout == "nchw"
        else f"infer-dims={height};{width};{channels}",
        f"network-input-order={0 if spec.export.layout == 'nchw' else 1}",
        f"model-color-format={COLOR_FORMATS[order]}",
        f"net-scale-factor={scale[0]:.9g}",
        "offsets=" + ";".join(f"{value:.9g}" for value in mean),
        f"output-blob-names={OUTPUT_NAME}",
        "classifier-threshold=0",
        "maintain-aspect-ratio=0",
    ]
    return "\n".join(lines) + "\n"


def nvinfer_labels(classes: list[str]) -> str:
    """All labels on one line, the form that nvinfer reads for a classifier; a remark if it cannot hold one of them."""
    reason = _no_labels(classes)
    return f"# no labels for nvinfer: {reason}\n" if reason else SEPARATOR.join(classes) + "\n"


def _no_labels(classes: list[str]) -> str:
    """Why nvinfer cannot read these labels: the part after a separator would be the label of the next class."""
    odd = [name for name in classes if SEPARATOR in name]
    return f"the class {odd[0]!a} has a semicolon, which separates labels; rename its folder" if odd else ""


def _inexpressible(spec: Spec) -> str:
    if spec.export.embed_preprocessing:
        return "it takes integers (export.embed_preprocessing), but nvinfer feeds float32"
    if spec.model.input_image_depth == 16:
        return "it takes 16 bits per channel, but nvinfer has 8"
    if len(set(fed_scaling(spec)[1])) > 1:
        return "it scales each channel by its own factor, but nvinfer has one factor for all"
    return ""


def _remarks(spec: Spec, file: Exported) -> list[str]:
    remarks = []
    if file.encrypted:
        remarks.append(f"# First run: secateur decrypt {file.name} -o {file.plain_name} --key env:NAME")
    if spec.augment.enable_center_crop:
        remarks.append(
            "# nvinfer resizes the whole image and does not crop; the network was measured on the cropped middle."
        )
        remarks.append("# With augment.enable_center_crop: False training and DeepStream use the same pixels.")
    return remarks
