"""The key of the specs of these tests: Snakemake asks for it before the first job."""

from __future__ import annotations

from collections.abc import Iterator

import pytest


@pytest.fixture(scope="session", autouse=True)
def key() -> Iterator[None]:
    """The variable that the specs name."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TEST_KEY", "k")
        yield
