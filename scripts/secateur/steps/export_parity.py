"""Measure an exported file on the images of its run."""

from __future__ import annotations

from typing import Any

from secateur.data.manifest import measured_rows
from secateur.export.exported_files import Exported
from secateur.export.final_model import FinalModel
from secateur.export.parity import measured_parity
from secateur.export.runners import Runner
from secateur.run import Run
from secateur.steps.run_manifest import manifest_of


def parity_of(run: Run, final: FinalModel, file: Exported, runner: Runner) -> dict[str, Any]:
    """The figures of an exported file on the test images of a run; without test images, on the validation images."""
    return measured_parity(final, file, runner, *measured_rows(manifest_of(run)))
