"""`secateur check`: a spec with all its values, where each comes from, and what its author should know."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import IO

from secateur.errors import VaultError
from secateur.run import run_of
from secateur.spec import Spec, load_spec
from secateur.spec.effective import effective
from secateur.vault.keys import key_of
from secateur.workflow.missing_files import missing_files, missing_images


def check(path: str, overrides: Sequence[str], stream: IO[str]) -> None:
    """Print the spec as YAML with comments.

    A file that does not exist here, and a key whose variable is not set here, are warnings: the run can be on another
    machine.

    Raises:
        SpecError: the spec is not valid.
        VaultError: the spec has no key and needs one.
    """
    spec = load_spec(path, overrides)
    print(effective(spec, origins=True), end="", file=stream)
    for notice in spec.notices:
        print(f"# {notice}", file=stream)
    run = run_of(Path(path).stem, spec)
    for missing in (*missing_files(run, Path("results")), *missing_images(run)):
        print(f"# missing: {missing}; {missing.hint}", file=stream)
    _check_key(spec, stream)


def _check_key(spec: Spec, stream: IO[str]) -> None:
    try:
        key_of(spec)
    except VaultError as error:
        if spec.key is None:
            raise
        print(f"# warning: {error.message}; {error.hint}", file=stream)
