"""The JSON files of a run that later steps read: what each must hold. No Keras and no pandas is imported.

A file can be cut, zeroed, or edited by hand, and a folder of results can come from somebody else. A shape names what
is read, with its type and range; further keys are allowed, since each step stores more than others read.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from secateur.errors import ArtifactError
from secateur.export.exported_files import Exported
from secateur.run import Run
from secateur.step_table import STEPS
from secateur.storage.atomic import read_json
from secateur.storage.regular_files import read_regular
from secateur.vault.files import read_content

Share = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=0)]
Positive = Annotated[int, Field(ge=1)]
Amount = Annotated[float, Field(ge=0)]
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class _Shape(BaseModel):
    model_config = ConfigDict(strict=True, extra="allow", allow_inf_nan=False)


class _LeftOut(_Shape):
    files: Positive
    example: str


class _Split(_Shape):
    images: Positive
    classes: list[str]
    images_per_split: dict[str, Count]
    images_per_class: dict[str, dict[str, Count]]
    findings: dict[str, Count]
    warnings: list[str]
    places: dict[str, str] = {}
    left_out: dict[str, _LeftOut] = {}
    notes: list[str] = []
    manifest_sha256: Digest | None = None


class _Training(_Shape):
    epochs: Positive
    best_epoch: Positive
    val_accuracy: Share
    seconds: Amount
    devices: list[str]


class _OfClass(_Shape):
    precision: Share
    recall: Share
    f1: Share
    support: Count


class _Accuracy(_Shape):
    images: Positive
    top_1: Share
    per_class: dict[str, _OfClass]


class _Metrics(_Accuracy):
    from_card: dict[str, Any] = {}
    model: str
    model_sha256: Digest
    split: str
    calibration_error: Amount
    params: Count
    macs: Count


class _Group(_Shape):
    members: list[str]
    kept: Count
    total: Positive


class _Pruning(_Shape):
    params_kept_ratio: Amount
    params_removed_ratio: float
    macs_kept_ratio: Amount
    macs_removed_ratio: float
    groups: list[_Group]


class _Case(_Shape):
    network: str
    threads: Positive
    batch: Positive
    p10_ms: Amount | None = None
    p50_ms: Amount
    p90_ms: Amount
    p99_ms: Amount
    ratio: Amount
    busy: bool = False
    waiting: Share = 0.0
    attempts: Positive = 1


class _Latency(_Shape):
    onnxruntime: str
    cpus: int | None
    cases: Annotated[list[_Case], Field(min_length=1)]


class _Keras(_Shape):
    top_1: Share


class _Integers(_Shape):
    in_integers: Count
    layers_with_weights: Count
    in_float: list[str]


class _OnThisCpu(_Shape):
    top_1_agreement: Share


class _Parity(_Shape):
    from_card: dict[str, Any] = {}
    file: str
    data_type: Literal["fp32", "fp16", "int8"]
    form: str
    images: Positive
    split: str
    model_sha256: Digest
    external_model: str | None = None
    plain_sha256: Digest | None = None
    params: Count
    macs: Count
    top_1_agreement: Share
    max_difference: Amount
    accuracy: _Accuracy
    keras: _Keras
    integers: _Integers | None = None
    on_this_cpu: _OnThisCpu | None = None
    features: list[str] = []


# Step, role -> what the file holds.
SHAPES: dict[tuple[str, str], type[_Shape]] = {
    ("split", "report"): _Split,
    ("train", "metrics"): _Training,
    ("retrain", "metrics"): _Training,
    ("prune", "report"): _Pruning,
    ("evaluate", "metrics"): _Metrics,
    ("latency", "latency"): _Latency,
    ("engine", "metrics"): _Parity,
}
MOST_SAID = 3


def read_run_json(run: Run, step: str, role: str, stage: str = "") -> dict[str, Any]:
    """The content of a JSON file of a run.

    Args:
        run: the run.
        step: that wrote the file.
        role: of the file, as in the table of steps.
        stage: of `evaluate`.

    Raises:
        ArtifactError: the file is missing or damaged.
    """
    return _checked(run.file(step, role, stage), step, SHAPES[step, role])


def read_parity(run: Run, file: Exported) -> dict[str, Any]:
    """The figures of an exported file. Raises ArtifactError if they are missing, damaged, or of another file."""
    path = run.folder("export") / file.parity_name
    parity = _checked(path, "export", _Parity)
    if (parity["file"], parity["form"]) != (file.name, file.form):
        raise damaged(path, "export", f"it is about {parity['file']} for {parity['form']}")
    return parity


def bytes_of(run: Run, file: Exported) -> int:
    """The size of an exported file with all its parts. Raises ArtifactError if one is missing."""
    folder = run.folder("export")
    try:
        return sum((folder / part).stat().st_size for part in file.parts)
    except OSError as error:
        raise ArtifactError(f"cannot read {error.filename}: {error.strerror}", again(folder, "export")) from error


def read_exported(run: Run, file: Exported) -> bytes:
    """The content of an exported ONNX file, decrypted.

    Raises:
        ArtifactError: it is missing.
        VaultError: it cannot be decrypted.
    """
    path = run.export_file(file.name)
    if file.encrypted:
        return read_content(path, run.key)
    try:
        return read_regular(path)
    except OSError as error:
        raise ArtifactError(f"cannot read {path}: {error.strerror}", again(path, "export")) from error


def _checked(path: Path, step: str, shape: type[_Shape]) -> dict[str, Any]:
    content = read_json(path, again(path, step))
    try:
        shape.model_validate(content)
    except ValidationError as error:
        raise damaged(path, step, _places(error)) from error
    return dict(content)


def damaged(path: Path, step: str, reason: str) -> ArtifactError:
    """The error for a file that was changed after its step wrote it."""
    return ArtifactError(f"{path} is damaged: {reason}", again(path, step))


def again(path: Path, step: str) -> str:
    """What makes a missing or damaged file again. Snakemake runs a step again whose file is missing."""
    remove = f"remove {path.name} there, and give" if path.is_file() else "give"
    return f"{remove} the same snakemake command again: the step {STEPS[step].name} writes it"


def _places(error: ValidationError) -> str:
    found = [
        f"{'.'.join(str(part) for part in one['loc']) or 'the file'}: {_lower(one['msg'])}" for one in error.errors()
    ]
    more = f"; and {len(found) - MOST_SAID} more" if len(found) > MOST_SAID else ""
    return "; ".join(found[:MOST_SAID]) + more


def _lower(text: str) -> str:
    return text[:1].lower() + text[1:]
