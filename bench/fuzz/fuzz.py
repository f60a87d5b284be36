"""Bytes of strangers, mutated: does every reader answer with a value or with an error of ours, in bounded time?

    .venv/bin/python bench/fuzz/fuzz.py [--minutes 15] [--only age,keras,...] [--out bench/results/fuzz.json]

Hypothesis picks one of the seeds (`seeds/`, made by `--make-seeds`) and mutates it: bits, bytes, parts that are cut,
doubled, swapped or taken from another seed; the members of a `.keras` archive are mutated inside it too. A finding is
any exception that is not a SecateurError; its input is kept in a file, and the script ends with 1.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import platform
import resource
import sys
import tarfile
import tempfile
import time
import zipfile
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
sys.path.insert(0, str(Path(__file__).parent.parent.parent / "scripts"))

import pandas as pd
from hypothesis import HealthCheck, Phase, Verbosity, given, settings
from hypothesis import strategies as st
from PIL import Image
from secateur.cli import inspect as inspection
from secateur.data.manifest import read_manifest
from secateur.data.sources import listed
from secateur.errors import SecateurError
from secateur.spec import parse_spec
from secateur.vault import age

SEEDS = Path(__file__).parent / "seeds"
SLOW_S = 20
STOPPED_S = 5
READ, RAISED = 0, 1
KEY = "k"
EXAMPLES_A_ROUND = 200
ODD_VALUES = [b"-1", b"0", b"1e999", b"null", b"[]", b"{}", b"99999999999999999999", b'""']
FOUND = Path(tempfile.gettempdir()) / "secateur-fuzz-finding"


def read_age(content: bytes) -> None:
    """A mutated work factor may ask for seconds of scrypt, by right: such inputs are left out."""
    if b" 4\n" in content[:80]:
        age.open(io.BytesIO(content), io.BytesIO(), KEY)


def read_manifest_bytes(content: bytes) -> None:
    """The table that split writes."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "manifest.csv"
        path.write_bytes(content)
        read_manifest(path)


def read_table(content: bytes) -> None:
    """A table of images, CSV or Parquet."""
    read_source("photos.parquet" if content.startswith(b"PAR1") else "photos.csv", content)


def read_archive(content: bytes) -> None:
    """A zip or tar of class folders."""
    read_source("photos.zip" if content.startswith(b"PK") else "photos.tar", content)


def read_source(name: str, content: bytes) -> None:
    """Any file that holds or names images."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_bytes(content)
        listed(str(path), "data.source", "first", Path(folder) / "unpacked")


def read_voc(content: bytes) -> None:
    """An annotation of Pascal VOC."""
    with tempfile.TemporaryDirectory() as folder:
        for part in ("JPEGImages", "Annotations"):
            (Path(folder) / part).mkdir()
        (Path(folder) / "Annotations/0.xml").write_bytes(content)
        listed(folder, "data.source", "largest", folder)


def read_spec(content: bytes) -> None:
    """Any YAML."""
    parse_spec(content)


def read_keras(content: bytes) -> None:
    """What `inspect` sees of a decrypted file; as there, in a process that can be killed."""
    child = os.fork()
    if not child:
        os._exit(_outcome(content))
    status = os.waitpid(child, 0)[1]
    if os.WIFSIGNALED(status):
        raise StoppedError("did not come to an end", "do not trust it")
    if os.WEXITSTATUS(status) != READ:
        # Refused, or a finding: here the exception is raised again.
        inspection.described(content, "m.keras")


def _outcome(content: bytes) -> int:
    resource.setrlimit(resource.RLIMIT_CPU, (STOPPED_S, STOPPED_S))
    try:
        inspection.described(content, "m.keras")
    except BaseException:
        return RAISED
    return READ


class StoppedError(SecateurError):
    """The limits of the process ended the reading."""


TARGETS: dict[str, Callable[[bytes], None]] = {
    "age": read_age,
    "manifest": read_manifest_bytes,
    "spec": read_spec,
    "keras": read_keras,
    "table": read_table,
    "archive": read_archive,
    "voc": read_voc,
}


def seeds(target: str) -> list[bytes]:
    """The inputs that mutation starts from."""
    return [path.read_bytes() for path in sorted(SEEDS.glob(f"{target}*"))]


@st.composite
def mutated(draw: Any, corpus: list[bytes]) -> bytes:
    """One of the corpus after up to eight changes."""
    content = bytearray(draw(st.sampled_from(corpus)))
    for _ in range(draw(st.integers(1, 8))):
        place = draw(st.integers(0, max(len(content) - 1, 0)))
        length = draw(st.sampled_from([1, 1, 2, 4, 16, 200]))
        kind = draw(st.sampled_from(["bit", "byte", "bytes", "cut", "double", "splice", "number"]))
        if kind == "bit" and content:
            content[place] ^= 1 << draw(st.integers(0, 7))
        elif kind == "byte" and content:
            content[place] = draw(st.integers(0, 255))
        elif kind == "bytes":
            content[place:place] = draw(st.binary(max_size=8))
        elif kind == "cut":
            del content[place : place + length]
        elif kind == "double":
            content[place:place] = content[place : place + length]
        elif kind == "splice":
            other = draw(st.sampled_from(corpus))
            start = draw(st.integers(0, max(len(other) - 1, 0)))
            content[place : place + length] = other[start : start + length]
        else:
            number = draw(
                st.sampled_from([b"-1", b"0", b"1e999", b"null", b"[]", b"{}", b"99999999999999999999", b'""'])
            )
            content[place : place + length] = number
    return bytes(content)


@st.composite
def mutated_archive(draw: Any, corpus: list[bytes]) -> bytes:
    """A `.keras` with one member mutated; or its bytes as they are, mutated."""
    if draw(st.booleans()):
        return draw(mutated(corpus))
    with zipfile.ZipFile(io.BytesIO(draw(st.sampled_from(corpus)))) as source:
        members = {name: source.read(name) for name in source.namelist()}
    chosen = draw(st.sampled_from(sorted(members)))
    members[chosen] = draw(mutated([members[chosen]]))
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as target:
        for name, content in members.items():
            target.writestr(name, content)
    return out.getvalue()


def fuzz(target: str, seconds: float, examples: int = EXAMPLES_A_ROUND) -> dict[str, Any]:
    """Feed one reader rounds of examples for so long, at least one round.

    Returns:
        Numbers of inputs, of those that were read, refused, and stopped by a limit, and the slowest in seconds.

    Raises:
        RuntimeError: the finding; its input is in the file that the message names.
    """
    counts = {"inputs": 0, "read": 0, "refused": 0, "stopped": 0, "slowest_s": 0.0}
    corpus = seeds(target)
    strategy = mutated_archive(corpus) if target == "keras" else mutated(corpus)

    def one(content: bytes) -> None:
        counts["inputs"] += 1
        begun = time.process_time()
        try:
            TARGETS[target](content)
            counts["read"] += 1
        except SecateurError as error:
            assert error.message
            counts["stopped" if isinstance(error, StoppedError) else "refused"] += 1
        except Exception:
            FOUND.write_bytes(content)
            raise
        taken = time.process_time() - begun
        counts["slowest_s"] = max(counts["slowest_s"], round(taken, 2))
        if taken > SLOW_S:
            FOUND.write_bytes(content)
            raise TimeoutError(f"took {taken} s")

    end = time.monotonic() + seconds
    while not counts["inputs"] or time.monotonic() < end:
        run = settings(
            max_examples=examples,
            deadline=None,
            database=None,
            phases=[Phase.generate, Phase.shrink],
            suppress_health_check=list(HealthCheck),
            verbosity=Verbosity.quiet,
        )(given(strategy)(one))
        try:
            run()
        except Exception as error:
            what = f"{type(error).__name__}: {str(error)[:300]}"
            raise RuntimeError(f"{target}: {what}; the input is in {FOUND}") from None
    return counts


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
    specs = Path(__file__).parent.parent.parent / "config/specs"
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
    make_source_seeds()


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


def main() -> None:
    """Fuzz each target in turn and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=15, help="for each reader")
    parser.add_argument("--only", default=",".join(TARGETS))
    parser.add_argument("--out", type=Path)
    parser.add_argument("--make-seeds", action="store_true")
    options = parser.parse_args()
    if options.make_seeds:
        make_seeds()
        return
    found = {name: fuzz(name, 60 * options.minutes) for name in options.only.split(",")}
    about = {name: version(name) for name in ("hypothesis", "h5py", "pyyaml", "pandas", "cryptography")}
    report = {"minutes_each": options.minutes, "uncaught": 0, **found, "python": platform.python_version(), **about}
    print(json.dumps(report, indent=2))
    if options.out:
        options.out.write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()
