"""The files and folders that a spec names and that do not exist, with the lines of the spec."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from secateur.data.addresses import is_url
from secateur.run import Run
from secateur.spec.translated import value_at
from secateur.workflow.staleness import is_digits

OF_THIS_RUN = "write EVALMODEL for the model of this run, or remove the key"
# Key that names a file of the user that a step reads -> what to do if it does not exist.
FILE_HINTS = {
    "train.pretrained_model_path": "give the path of a model file, or remove the key to start from random weights",
    "model.byom_model": "make the file first: secateur byom MODEL.onnx -o FILE.tltb --key env:NAME",
    "prune.model_path": "remove the key to prune the model that train makes",
    "evaluate.model_path": OF_THIS_RUN,
    "inference.model_path": OF_THIS_RUN,
    "inference.classmap": "remove the key to use the class map of this run",
    "export.model_path": OF_THIS_RUN,
}
# Key that names images -> what to do. The split names what it misses itself, so these are for `check` only.
IMAGE_HINTS = dict.fromkeys(
    (
        "data.source",
        "data.train_dataset_path",
        "data.val_dataset_path",
        "evaluate.dataset_path",
        "inference.image_dir",
        "export.cal_image_dir",
    ),
    "give the folder on this machine",
)


@dataclass(frozen=True)
class Missing:
    """One path that does not exist.

    Attributes:
        key: dotted path of V1.
        place: `file:line: key`, in the words of the file.
        path: of the file or folder.
        hint: what to do.
    """

    key: str
    place: str
    path: str
    hint: str

    def __str__(self) -> str:
        return f"{self.place}: there is no {'folder' if self.key in IMAGE_HINTS else 'file'} {self.path}"


def missing_files(run: Run, results: Path) -> list[Missing]:
    """Model files and class maps that the spec names and that do not exist. Files below `results` are made later."""
    found = []
    for key, hint in FILE_HINTS.items():
        path = value_at(run.spec.plain, key)
        if path:
            file = run.resolve(path, Path())
            if not file.is_relative_to(results) and not _is_made_here(run, file) and not _exists(file):
                found.append(Missing(key, run.spec.place(key), str(file), hint))
    return found


def _is_made_here(run: Run, file: Path) -> bool:
    """Whether a step of the run writes the file."""
    models = [run.model(step) for step in ("train", "prune", "retrain")]
    return file in (*models, run.classmap) or file.is_relative_to(run.folder("export"))


def _exists(path: Path) -> bool:
    try:
        return path.expanduser().exists()
    except (OSError, ValueError, RuntimeError):
        return False  # a name that no file can have, or an unknown home


def missing_images(run: Run) -> Iterator[Missing]:
    """Folders, tables and archives of images that the spec names and that do not exist. URLs are not looked at."""
    for key, hint in IMAGE_HINTS.items():
        value = value_at(run.spec.plain, key)
        for path in value if isinstance(value, list) else [value]:
            if path and not is_url(path) and not is_digits(path) and not _exists(Path(path)):
                yield Missing(key, run.spec.place(key), path, hint)
