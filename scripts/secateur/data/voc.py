"""Read Pascal VOC: the objects in each image (Everingham et al. 2010; file formats of the development kit)."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

from secateur.data.filesystem import read_bytes
from secateur.data.images import is_image
from secateur.errors import DataError

MAX_ANNOTATION_BYTES = 1 << 20
# Flag of an image in `ImageSets/Main/<class>_<part>.txt`; 0 means that the objects are hard to see.
PRESENT = "1"
PARTS = ("train", "val", "trainval", "test")


@dataclass(frozen=True)
class VocImage:
    """An image and its objects.

    Attributes:
        file_name: in `JPEGImages`.
        objects: class and box area in pixels of each object that is not marked difficult.
    """

    file_name: str
    objects: list[tuple[str, float]]

    def chosen(self, multi_label: str) -> str:
        """The class of the largest box if `largest` is true, otherwise of the first object."""
        return (max(self.objects, key=lambda item: item[1]) if multi_label == "largest" else self.objects[0])[0]


def is_voc(root: str) -> bool:
    """Whether a folder has the layout of Pascal VOC."""
    folder = Path(root)
    return (folder / "JPEGImages").is_dir() and any((folder / name).is_dir() for name in ("Annotations", "ImageSets"))


def read_voc(root: str, key: str, multi_label: str) -> Iterator[VocImage]:
    """Images in the order of their names: those that `ImageSets/Main` lists, or all annotated ones.

    Raises:
        DataError: an annotation cannot be read, or there are none and `multi_label` is `largest`.
    """
    folder = Path(root)
    annotations = {path.stem: path for path in sorted((folder / "Annotations").glob("*.xml"))}
    if not annotations:
        if multi_label == "largest":
            raise DataError(
                f"{key}: {root} has no Annotations, so the largest box is unknown", "set data.multi_label: first"
            )
        yield from _from_lists(folder / "ImageSets/Main")
        return
    wanted = _listed_names(folder / "ImageSets/Main")
    for name, path in annotations.items():
        if not wanted or name in wanted:
            yield _read_annotation(path)


def _lines(path: Path) -> Iterator[list[str]]:
    try:
        content = read_bytes(str(path))
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}", "correct or remove this list") from error
    for line in content.decode("utf-8", "surrogateescape").splitlines():
        if line.strip():
            yield line.split()


def _listed_names(folder: Path) -> set[str]:
    files = [folder / f"{part}.txt" for part in PARTS]
    return {words[0] for path in files if path.is_file() for words in _lines(path)}


def _from_lists(folder: Path) -> Iterator[VocImage]:
    objects: dict[str, list[str]] = {}
    for path in sorted(folder.glob("*_*.txt")):
        label, _, part = path.stem.rpartition("_")
        if part not in PARTS:
            continue
        for words in _lines(path):
            known = objects.setdefault(words[0], [])
            if words[1:] == [PRESENT] and label not in known:
                known.append(label)
    for name in sorted(objects):
        yield VocImage(f"{os.path.basename(name)}.jpg", [(label, 0.0) for label in objects[name]])


def _read_annotation(path: Path) -> VocImage:
    try:
        if path.stat().st_size > MAX_ANNOTATION_BYTES:
            raise ValueError(f"larger than {MAX_ANNOTATION_BYTES} bytes")
        tree = ElementTree.fromstring(read_bytes(str(path)))
        objects = [
            ((item.findtext("name") or "").strip(), _area(item))
            for item in tree.iter("object")
            if (item.findtext("difficult") or "0").strip() != "1"
        ]
    # LookupError: an encoding that Python does not know.
    except (OSError, ValueError, LookupError, ElementTree.ParseError) as error:
        raise DataError(f"{path}: cannot be read: {error}", "correct or remove this annotation") from error
    # Only the last part of the name: an annotation must not lead out of the folder.
    name = os.path.basename((tree.findtext("filename") or path.stem).strip())
    return VocImage(name if is_image(name) else f"{name}.jpg", objects)


def _area(item: ElementTree.Element) -> float:
    box = item.find("bndbox")
    if box is None:
        return 0.0
    left, top, right, bottom = (float(box.findtext(name) or 0) for name in ("xmin", "ymin", "xmax", "ymax"))
    return (right - left) * (bottom - top)
