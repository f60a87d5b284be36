"""The manifest of a run with the current paths of its images. No Keras is imported."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import pandas as pd

from secateur.data.addresses import is_url
from secateur.data.filesystem import is_file_source, parent
from secateur.data.manifest import read_manifest
from secateur.run import Run
from secateur.spec.effects import places_that_affect
from secateur.steps.run_files import again, damaged, read_run_json
from secateur.storage.atomic import sha256_of

# Keys of split/report.json.
PLACES = "places"
MANIFEST_SHA256 = "manifest_sha256"


def manifest_of(run: Run) -> pd.DataFrame:
    """The manifest of a run, with the current paths of the images.

    Paths are adapted if a folder was renamed after `split`, or if the split was copied from an experiment with the same
    images at another place.

    Raises:
        DataError, ArtifactError: the manifest or the report of split cannot be read or was changed.
    """
    report = read_run_json(run, "split", "report")
    table = _as_written(run, report)
    before = report.get(PLACES, {})
    for key, places in places_that_affect(run.spec, ["split"]).items():
        old, new = before.get(key), places[0]
        if old and old != new:
            table["path"] = _moved(table["path"], _base(old), _base(new))
    return table


def _as_written(run: Run, report: Mapping[str, Any]) -> pd.DataFrame:
    """The manifest that split wrote. A part of it would be a smaller set of images, and nothing would say so."""
    hint = again(run.manifest, "split")
    table = read_manifest(run.manifest, hint)
    written = report.get(MANIFEST_SHA256)
    counts = {name: int(count) for name, count in table["split"].value_counts().items()}
    asked = {name: count for name, count in report["images_per_split"].items() if count}
    # Reports of earlier versions have no digest.
    if counts != asked or (written and sha256_of(run.manifest) != written):
        raise damaged(run.manifest, "split", "it is not the table that split wrote, by the digest in report.json")
    return table


def _base(place: str) -> str:
    """The folder with which the paths of a place begin."""
    return parent(place) if is_file_source(place) or (is_url(place) and place.endswith(".csv")) else place.rstrip("/")


def _moved(paths: pd.Series, old: str, new: str) -> pd.Series:
    start = f"{old}/" if old else ""
    return paths.map(lambda path: f"{new}/{path[len(start) :]}" if path.startswith(start) else path)


def pixels_and_labels(manifest: pd.DataFrame) -> str:
    """The digest of the content, class and split of every image, in order. The paths do not count."""
    digest = hashlib.sha256()
    for row in manifest[["sha256", "class", "split"]].itertuples(index=False):
        digest.update("\0".join(map(str, row)).encode("utf-8", "surrogateescape") + b"\1")
    return digest.hexdigest()
