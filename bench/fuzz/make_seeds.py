"""Write `seeds/` again, from which `fuzz.py` starts.

.venv/bin/python bench/fuzz/make_seeds.py
"""

from __future__ import annotations

import io
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "scripts"))

import pandas as pd
from PIL import Image
from secateur.vault import age

ROOT = Path(__file__).parents[2]
SEEDS = Path(__file__).parent / "seeds"
KEY = "k"


def make_seeds() -> None:
    """Write `seeds/` again."""
    import keras
    from secateur.models.file import save_model

    SEEDS.mkdir(exist_ok=True)
    for size in (0, 40, 70_000):
        sealed = io.BytesIO()
        age.seal(io.BytesIO(bytes(size)), sealed, KEY, 4)
        (SEEDS / f"age-{size}").write_bytes(sealed.getvalue())
    (SEEDS / "manifest-two").write_text(
        "path,class,split,width,height,mode,depth,bytes,sha256\n"
        f'images/a/1.jpg,a,train,30,24,RGB,8,900,{"0" * 64}\n"b, ""x""/2.jpg",b,val,1,1,I;16,16,80,{"f" * 64}\n'
    )
    specs = ROOT / "config/specs"
    for path in sorted(specs.glob("*.yaml")):
        (SEEDS / f"spec-{path.stem}").write_bytes(path.read_bytes())
    layers = keras.layers
    given_image = keras.Input((8, 8, 1), name="image")
    body = layers.BatchNormalization(name="norm")(layers.Conv2D(2, 1, name="conv")(given_image))
    model = keras.Model(given_image, layers.Dense(2, name="head")(layers.GlobalAveragePooling2D(name="pool")(body)))
    with tempfile.TemporaryDirectory() as folder:
        save_model(model, Path(folder) / "m.tlt", KEY, {"classes": ["a", "b"], "provenance": [{"step": "train"}]})
        plain = io.BytesIO()
        with open(Path(folder) / "m.tlt", "rb") as source:
            age.open(source, plain, KEY)
    (SEEDS / "keras-small").write_bytes(plain.getvalue())
    make_onnx_seed()
    make_source_seeds()


def make_onnx_seed() -> None:
    """A network with the kinds of layers that most files have. `run/` was copied from the results of a test."""
    import keras
    from secateur.keras_to_onnx.writer import to_onnx

    layers = keras.layers
    given_image = keras.Input((8, 8, 3), name="image")
    body = layers.ReLU(6)(layers.BatchNormalization()(layers.Conv2D(4, 3, strides=2, padding="same")(given_image)))
    deep = layers.DepthwiseConv2D(3, padding="same")(layers.MaxPooling2D(2, 1, "same")(body))
    joined = layers.Concatenate()([layers.Add()([body, deep]), layers.Activation("sigmoid")(deep)])
    pooled = layers.Dense(2, activation="softmax")(layers.GlobalAveragePooling2D()(layers.ZeroPadding2D(1)(joined)))
    proto = to_onnx(keras.Model(given_image, pooled), "nchw", 17)
    (SEEDS / "onnx-small").write_bytes(proto.SerializeToString())


def make_source_seeds() -> None:
    """Tables, archives and an annotation."""
    rows = [("cat/1.jpg", "cat", "train", "a"), ("cat/2.jpg", "cat", "val", "b"), ("dog/1.jpg", "dog", "train", "")]
    table = pd.DataFrame(rows, columns=["path", "class", "split", "group"])
    (SEEDS / "table-all").write_text(table.to_csv(index=False))
    (SEEDS / "table-some").write_text(table[["path", "class"]].to_csv(index=False, lineterminator="\r\n"))
    table.to_parquet(SEEDS / "table-parquet", compression=None)
    jpeg = io.BytesIO()
    Image.new("L", (8, 8)).save(jpeg, "jpeg")
    with zipfile.ZipFile(SEEDS / "archive-zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for row in rows:
            archive.writestr(row[0], jpeg.getvalue())
    for suffix in ("", "gz", "xz"):
        with tarfile.open(SEEDS / f"archive-tar{suffix}", f"w:{suffix}") as tar:
            for row in rows:
                info = tarfile.TarInfo(row[0])
                info.size = len(jpeg.getvalue())
                tar.addfile(info, io.BytesIO(jpeg.getvalue()))
    box = "<bndbox><xmin>1</xmin><ymin>1</ymin><xmax>5</xmax><ymax>9.5</ymax></bndbox>"
    (SEEDS / "voc-two").write_text(
        '<?xml version="1.0"?>\n<annotation><filename>1.jpg</filename>'
        f"<object><name>cat</name><difficult>0</difficult>{box}</object><object><name>dog</name>{box}</object></annotation>"
    )


if __name__ == "__main__":
    make_seeds()
