"""`README.md` of the bundle, the model card: facts about the model, its figures, and how to run it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from secateur.evaluation.latency_figures import caution, figure_ms, is_busy
from secateur.export.bundle.programs import programs_in_words
from secateur.export.engine_options import engine_source
from secateur.export.exported_files import Exported, exported_files
from secateur.spec import Spec

HEIC = "\nHEIC photographs need `pip install pillow-heif` too.\n"
FORMS = {
    "onnxruntime": "ONNX Runtime and other programs that read ONNX",
    "tensorrt": "TensorRT, in the precision of the engine; int8 with zero point 0",
    "tflite": "LiteRT (TFLite): scaled pixels, NHWC",
    "openvino": "OpenVINO, with the .bin file beside it",
    "web": "a browser: the model and ONNX Runtime in one page",
}


def model_card(
    name: str,
    spec: Spec,
    classes: Sequence[str],
    images: Mapping[str, int],
    parities: Sequence[Mapping[str, Any]],
    latency: Mapping[str, Any],
    sizes: Mapping[str, int],
) -> str:
    """The text of the file.

    Args:
        name: of the experiment.
        spec: of the experiment.
        classes: names in index order.
        images: split -> number of images.
        parities: figures of each exported file.
        latency: content of `latency.json`.
        sizes: file -> bytes, including its second file.
    """
    parts = [
        f"# {name}\n",
        _what(spec, classes, images, parities[0]),
        _prepared(parities[0].get("from_card", {})),
        "## Figures\n",
        _figures(parities, sizes),
        _worst(parities[0]),
        "## Latency\n",
        _latency(latency),
        "## How to run it\n",
        _how(spec),
        programs_in_words(parities),
    ]
    return "\n".join(part for part in parts if part)


def _what(spec: Spec, classes: Sequence[str], images: Mapping[str, int], parity: Mapping[str, Any]) -> str:
    channels, height, width = spec.model.input_image_size
    counts = ", ".join(f"{count:,} {split}" for split, count in images.items())
    made, of = ("pruned and retrained" if spec.prunes else "trained"), ""
    if name := parity.get("external_model"):
        made, of = f"from the model file `{name}`", " of the run that exported it"
    return (
        f"An image classifier: {spec.model.arch}, {made}"
        f"{', for int8' if spec.trained_for_int8 else ''}; input {width}x{height}, "
        f"{'colour' if channels == 3 else 'gray'}, {spec.model.input_image_depth} bits per channel.\n\n"
        f"{len(classes)} classes: {', '.join(_escaped(name) for name in classes)}. Images{of}: {counts}.\n"
    )


def _prepared(from_card: Mapping[str, Any]) -> str:
    """The keys in which another run's model was trained otherwise than this spec says; the model's values count."""
    if not from_card:
        return ""
    keys = ", ".join(f"`{key}: {value}`" for key, value in from_card.items())
    return f"The model was trained with {keys}, which this bundle uses instead of the values of the spec.\n"


def _escaped(name: str) -> str:
    return "".join(f"\\{letter}" if letter in "\\`*_[]<>|#" else letter for letter in name)


def _figures(parities: Sequence[Mapping[str, Any]], sizes: Mapping[str, int]) -> str:
    first = parities[0]
    rows = [
        f"Measured on {first['images']} {first['split']} images. Top-1 of Keras: {first['keras']['top_1']:.4f}.\n",
        "| file | for | precision | bytes | top-1 | same answer as Keras | largest difference |",
        "|---|---|---|--:|--:|--:|--:|",
    ]
    for parity in parities:
        rows.append(
            f"| `{parity['file']}` | {FORMS[parity['form']]} | {parity['data_type']} | {sizes[parity['file']]:,} | "
            f"{parity['accuracy']['top_1']:.4f} | {parity['top_1_agreement']:.1%} | {parity['max_difference']:.1e} |"
        )
    layers = first.get("integers")
    if layers:
        rows.append(
            f"\nONNX Runtime computes {layers['in_integers']} of {layers['layers_with_weights']} layers with weights "
            f"in integers{'; in float: ' + ', '.join(layers['in_float']) if layers['in_float'] else ''}."
        )
    rows += [
        f"\n`{parity['file']}` in the integers of the exporting machine's CPU: the same answer as Keras on "
        f"{parity['on_this_cpu']['top_1_agreement']:.1%}. An x86 CPU without VNNI computes them inexactly."
        for parity in parities
        if "on_this_cpu" in parity
    ]
    return "\n".join(rows) + "\n"


def _worst(parity: Mapping[str, Any]) -> str:
    per_class = parity["accuracy"]["per_class"]
    weakest = sorted(per_class, key=lambda name: per_class[name]["f1"])[:3]
    words = ", ".join(f"{_escaped(name)} ({per_class[name]['f1']:.2f})" for name in weakest)
    return f"\nWeakest classes by F1: {words}. All classes: `metrics.json`.\n"


def _latency(latency: Mapping[str, Any]) -> str:
    rows = [
        f"Measured with ONNX Runtime {latency['onnxruntime']} on the CPU of the exporting machine ({latency['cpus']} "
        "cores), all networks in turn. On another machine only the ratios are comparable. The ratio is that of "
        "the first column of milliseconds, the tenth percentile of many short rounds; p50, p90 and p99 are by the "
        "clock.\n",
        "| network | threads | batch | ms | p50 ms | p90 ms | p99 ms | ratio | machine |",
        "|---|--:|--:|--:|--:|--:|--:|--:|---|",
    ]
    rows += [
        f"| {case['network']} | {case['threads']} | {case['batch']} | {figure_ms(case):.3g} | {case['p50_ms']:.3g} | "
        f"{case['p90_ms']:.3g} | {case['p99_ms']:.3g} | {case['ratio']:.2f} | {'busy' if is_busy(case) else 'quiet'} |"
        for case in latency["cases"]
    ]
    if doubt := caution(latency["cases"]):
        rows.append(f"\n**{doubt}**")
    return "\n".join(rows) + "\n"


def _how(spec: Spec) -> str:
    file, engine = exported_files(spec)[0], engine_source(spec)
    lines = [
        _command(file),
        "`preprocessing.json` describes the preprocessing; `predict.py` implements it.\n",
        f"* TensorRT: `sh trtexec.sh` builds an engine of `{engine.name}`{_plain_first(engine)}.",
        "* DeepStream: `nvinfer_config.txt` and `nvinfer_labels.txt`.",
        f"* Triton: the folder `triton` is a model repository{_triton_remark(file)}.",
        "* `MANIFEST.json` has the SHA-256 of every file.",
    ]
    if "web" in spec.export.targets:
        lines.append("* `try.html` runs the model in a browser, without a server or a network.")
    return "\n".join(lines) + "\n"


def _plain_first(file: Exported) -> str:
    return f", after `secateur decrypt` has written `{file.plain_name}`" if file.encrypted else ""


def _command(file: Exported) -> str:
    if not file.encrypted:
        return "```\npip install onnxruntime numpy pillow\npython predict.py photo.jpg\n```\n" + HEIC
    return (
        "The model is encrypted (age v1). `predict.py` opens it in memory and writes no plain model. The key "
        "is in an environment variable, or in the first line of a file (`--key file:PATH`):\n\n"
        "```\npip install onnxruntime numpy pillow pyrage\npython predict.py --key env:NAME photo.jpg\n```\n"
        + HEIC
        + "\n"
        "Other programs need the plain model. This command decrypts it, or any age program:\n\n```\n"
        f"secateur decrypt {file.name} -o {file.plain_name} --key env:NAME\n```\n"
    )


def _triton_remark(file: Exported) -> str:
    return (
        f"; copy the decrypted model `{file.plain_name}` to `triton/{Path(file.plain_name).stem}/1/model.onnx`"
        if file.encrypted
        else ""
    )
