"""The calibrate step: it measures the ranges of activations for int8 and chooses the layers that stay in float."""

from __future__ import annotations

from collections.abc import Iterator
from typing import IO, Any

import numpy as np
import onnx
from numpy.typing import NDArray

from secateur.data.images import image_files
from secateur.data.left_out import LeftOut
from secateur.data.manifest import rows_of_split
from secateur.export.final_model import FinalModel, Pixels, spread
from secateur.export.input_scaling import scaled_input
from secateur.quantization.calibration import Calibration, measured_ranges
from secateur.quantization.ranges import Ranges, ranges_from_json
from secateur.quantization.sensitivity import Exclusions, choose_float_layers
from secateur.run import Run
from secateur.steps.context import step_context
from secateur.steps.exported_model import load_final_model
from secateur.steps.run_files import again, damaged
from secateur.steps.run_manifest import manifest_of
from secateur.storage.atomic import read_json, write_json


def read_calibration(run: Run) -> Calibration:
    """Read the file. Raises ArtifactError or ModelError if it is missing or holds something else."""
    path = run.file("calibrate", "calibration")
    data = read_json(path, again(path, "calibrate"))
    ranges = ranges_from_json(data, str(path))
    in_float = data.get("in_float", [])
    if not isinstance(in_float, list) or not all(isinstance(name, str) for name in in_float):
        raise damaged(path, "calibrate", "in_float is not a list of layers")
    return Calibration(ranges, tuple(in_float))


def calibrate(run: Run, stream: IO[str]) -> dict[str, Any]:
    """Write `export/calibration.json`.

    A network that was trained for int8 has learned its ranges. For other networks they are measured on training images,
    scaled as in training. With `export.int8_max_drop` the layers that lose most accuracy stay in float.

    Raises:
        SecateurError: a file cannot be read or written, or int8 loses too much accuracy.
    """
    with step_context(run, "calibrate", lock="calibrate") as status:
        run, final, _ = load_final_model(run, "calibrate", stream)
        proto = final.plain_onnx()
        ranges, how = _ranges(run, final, proto)
        left = _exclusions(run, final, proto, ranges)
        result = {**how, **(left.as_json() if left else {"in_float": []}), **ranges.as_json()}
        write_json(run.file("calibrate", "calibration"), result)
        status.write("RUNNING", f"ranges of {len(ranges.of)} activations")
    words = f"{len(ranges.of)} ranges from {how['measured_on']}"
    if left:
        words += f", {len(left.names)} layers stay in float, top-1 {left.accuracy:.4f} against {left.fp32:.4f} in fp32"
    print(f"calibrate  {words}", file=stream, flush=True)
    return result


def _ranges(run: Run, final: FinalModel, proto: onnx.ModelProto) -> tuple[Ranges, dict[str, Any]]:
    section = run.spec.export
    if final.ranges is not None:
        return final.ranges, {"measured_on": "training (qat)"}
    paths = calibration_paths(run)
    ranges = measured_ranges(proto, _inputs(run, paths), section.calibration.method, run.threads)
    return ranges, {"measured_on": f"{len(paths)} images", "method": section.calibration.method}


def calibration_paths(run: Run) -> list[str]:
    """The paths of the calibration images."""
    section = run.spec.export
    if section.cal_image_dir:
        found = [
            path
            for folder in section.cal_image_dir
            for path in image_files(folder, LeftOut(), "export.cal_image_dir", run.spec.data.follow_links)
        ]
        places = np.unique(np.linspace(0, len(found) - 1, section.calibration_images).astype(int))
        return [found[place] for place in places]
    manifest = manifest_of(run)
    return list(spread(manifest[manifest["split"] == "train"], section.calibration_images)["path"])


def _inputs(run: Run, paths: list[str]) -> Iterator[NDArray[np.float32]]:
    """The batches for the float network."""
    return (scaled_input(pixels, run.spec) for pixels in Pixels(run.spec, paths).batches())


def _exclusions(run: Run, final: FinalModel, proto: onnx.ModelProto, ranges: Ranges) -> Exclusions | None:
    limit = run.spec.export.int8_max_drop
    if limit is None:
        return None
    rows, labels = rows_of_split(manifest_of(run), "val", final.classes)
    batches = list(_inputs(run, list(rows["path"])))
    return choose_float_layers(proto, ranges, batches, np.array(labels), limit, run.threads)
