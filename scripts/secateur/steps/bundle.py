"""The bundle step: it writes all files beside the exported models, from the spec and the figures."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from secateur.data.classes import read_classmap
from secateur.export.bundle.bundle_manifest import MANIFEST, bundle_manifest
from secateur.export.bundle.card import model_card
from secateur.export.bundle.nvinfer import nvinfer_config, nvinfer_labels
from secateur.export.bundle.script import predict_script
from secateur.export.bundle.triton import triton_config
from secateur.export.bundle.trtexec import trtexec_script
from secateur.export.engine_options import engine_options, engine_source
from secateur.export.exported_files import Exported, exported_files
from secateur.export.input_scaling import preprocessing_of
from secateur.run import Run
from secateur.steps.context import step_context
from secateur.steps.model_card import FROM_CARD, with_card_input
from secateur.steps.run_files import bytes_of, read_parity, read_run_json
from secateur.steps.run_manifest import manifest_of
from secateur.storage.atomic import write_bytes, write_json, write_text
from secateur.storage.regular_files import read_regular
from secateur.workflow.outputs import exported_paths

# What metrics.json holds of each file.
FIGURES = (
    "data_type",
    "form",
    "accuracy",
    "keras",
    "top_1_agreement",
    "max_difference",
    "integers",
    "on_this_cpu",
)

MODEL_SUFFIXES = (".onnx", ".etlt", ".tflite")
TRITON_FILES = ("config.pbtxt", "labels.txt", "1/model.onnx")


def bundle(run: Run, stream: IO[str]) -> dict[str, Any]:
    """Write the files beside the exported models: labels, figures, configurations, a model repository for Triton.

    Returns:
        The manifest: file -> SHA-256 and bytes.

    Raises:
        SecateurError: an exported file or its figures are missing.
    """
    folder = run.results / "export"
    with step_context(run, "bundle", lock="export-bundle"):
        classes, files = read_classmap(run.classmap), exported_files(run.spec)
        parities = [read_parity(run, file) for file in files]
        run = with_card_input(run, parities[0].get(FROM_CARD, {}))
        latency = read_run_json(run, "latency", "latency")
        _write_for_programs(run, folder, classes, files, parities[0].get("plain_sha256"))
        write_json(folder / "metrics.json", _metrics(parities))
        _write_triton(run, folder / "triton", classes, files[0])
        counts = manifest_of(run)["split"].value_counts()
        images = {str(split): int(count) for split, count in counts.items()}
        sizes = {file.name: bytes_of(run, file) for file in files}
        card = model_card(run.name, run.spec, classes, images, parities, latency, sizes)
        write_text(folder / "README.md", card)
        members = _members(run, folder)
        manifest = bundle_manifest(folder, members, parities[0]["model_sha256"])
        write_json(folder / MANIFEST, manifest)
    print(f"bundle  {folder}  {len(manifest['files'])} files, see README.md there", file=stream, flush=True)
    if others := _others(folder, members):
        words = f"{folder} also has {others}, not of this export: remove them before you copy the folder"
        print(f"bundle  warning: {words}", file=stream, flush=True)
    return manifest


def _others(folder: Path, members: list[Path]) -> str:
    """Models of another export, or decrypted ones, that are in the folder; empty if there are none."""
    found = {path for path in folder.iterdir() if path.suffix in MODEL_SUFFIXES and path.is_file()}
    return ", ".join(sorted(path.name for path in found - {*members}))


def _write_for_programs(
    run: Run, folder: Path, classes: list[str], files: list[Exported], plain_sha256: str | None
) -> None:
    spec = run.spec
    write_text(folder / "labels.txt", "".join(f"{name}\n" for name in classes))
    model = {"model": files[0].plain_name, "plain_sha256": plain_sha256}
    write_json(folder / "preprocessing.json", {**preprocessing_of(spec), **model})
    write_text(folder / "nvinfer_config.txt", nvinfer_config(spec, engine_source(spec), spec.engine_type, classes))
    write_text(folder / "nvinfer_labels.txt", nvinfer_labels(classes))
    write_text(folder / "trtexec.sh", trtexec_script(engine_options(spec), engine_source(spec)))
    write_bytes(folder / "predict.py", predict_script())


def _write_triton(run: Run, folder: Path, classes: list[str], file: Exported) -> None:
    """Write the folder for Triton again, without our files of an earlier export under another name."""
    _remove_triton(folder)
    name = Path(file.plain_name).stem
    write_text(folder / name / "config.pbtxt", triton_config(run.spec, name, len(classes)))
    write_text(folder / name / "labels.txt", "".join(f"{label}\n" for label in classes))
    (folder / name / "1").mkdir(exist_ok=True)
    if not file.encrypted:
        write_bytes(folder / name / "1" / "model.onnx", read_regular(folder.parent / file.name))


def _remove_triton(folder: Path) -> None:
    """Remove what an earlier export wrote; what a user put beside it stays."""
    for model in sorted(folder.glob("*/")):
        if model.is_symlink():
            continue
        for name in TRITON_FILES:
            (model / name).unlink(missing_ok=True)
        for emptied in (model / "1", model):
            with suppress(OSError):
                emptied.rmdir()


def _metrics(parities: list[dict[str, Any]]) -> dict[str, Any]:
    first = parities[0]
    return {
        "model_sha256": first["model_sha256"],
        "split": first["split"],
        "images": first["images"],
        "keras": first["keras"],
        "files": {parity["file"]: {key: parity[key] for key in FIGURES if key in parity} for parity in parities},
    }


def _members(run: Run, folder: Path) -> list[Path]:
    """All files below `export/` except the manifest itself."""
    paths = [run.results / path for path in exported_paths(run.spec)]
    plain = [path for path in paths if path.name != MANIFEST and path != folder / "triton"]
    return [*plain, *sorted(path for path in (folder / "triton").rglob("[!.]*") if path.is_file())]
