"""Write the demonstration data: scikit-learn's digits, 1,797 scanned images of 8 x 8 pixels, as class folders."""

from __future__ import annotations

from pathlib import Path
from typing import IO

import numpy as np
import pandas as pd
from PIL import Image

from secateur.storage.atomic import atomic_file
from secateur.storage.csv import write_csv

SOURCE_MAX = 16  # values of scikit-learn's digits are ink counts from 0 to 16


def write_digits(folder: Path | str, index: Path | str, stream: IO[str] | None = None) -> None:
    """Write PNG files as `folder/<digit>/<number>.png`, and `index`, the CSV that lists them.

    No network is needed: the images are inside scikit-learn.
    """
    from sklearn.datasets import load_digits

    digits = load_digits()
    rows = []
    for number, (pixels, digit) in enumerate(zip(digits.images, digits.target, strict=True)):
        path = Path(folder) / str(digit) / f"{number:04d}.png"
        with atomic_file(path) as file:
            Image.fromarray(np.round(pixels * (255 / SOURCE_MAX)).astype(np.uint8)).save(file, format="PNG")
        rows.append({"path": str(path), "class": str(digit)})
    write_csv(index, pd.DataFrame(rows))
    print(f"digits  {len(rows)} images", file=stream, flush=True)
