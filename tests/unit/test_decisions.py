"""Comments and pages name only documents that the repository has."""

import re
from pathlib import Path

import pytest

FOLDERS = ("bench", "config", "docs", "envs", "profiles", "rules", "scripts", "tests")
SUFFIXES = {".css", ".csv", ".html", ".js", ".json", ".md", ".py", ".smk", ".toml", ".yaml", ".yml"}
# Notes that comments once named and that the repository never had; docs/decisions has their reasons.
NOTES = re.compile(
    r"\btao-(?:facts|defaults)\b|\bweights-facts\b|\bmeasured-(?:stack|workflow)\b"
    r"|(?<![\w/-])(?:design|faults|methods|house|style)\.md\b|\bdesign,? section\b"
)
NAMED = re.compile(r"\b(?:docs/[\w./-]*\.md|bench/[\w./-]*\.py)\b")
OF_CODE = re.compile(r"`((?:scripts|tests|envs|profiles)/[\w./-]+)`")


@pytest.fixture(scope="module")
def texts(repository) -> dict[Path, str]:
    """Every text of the repository but this one, by its path in it."""
    found = [path for folder in FOLDERS for path in (repository / folder).rglob("*")]
    found += [path for path in repository.iterdir() if path.suffix in SUFFIXES]
    found += [repository / name for name in ("Dockerfile", "Makefile", "Snakefile")]
    texts = {}
    for path in found:
        if path.suffix in SUFFIXES | {""} and path.is_file() and path != Path(__file__):
            texts[path.relative_to(repository)] = path.read_text(encoding="utf-8", errors="replace")
    return texts


def test_no_text_names_notes_that_are_not_here(texts):
    assert len(texts) > 400
    assert not {str(path): found[0] for path, text in texts.items() if (found := NOTES.search(text))}


def test_every_document_that_is_named_exists(texts, repository):
    named = {(str(path), name) for path, text in texts.items() for name in NAMED.findall(text)}
    assert len(named) > 100
    assert not {(path, name) for path, name in named if not (repository / name).is_file()}


def test_every_decision_is_in_the_index_and_names_code_that_exists(texts, repository):
    pages = {path.name: text for path, text in texts.items() if path.parent == Path("docs/decisions")}
    index = pages.pop("README.md")
    assert set(re.findall(r"^\| \[([\w-]+\.md)\]", index, re.MULTILINE)) == set(pages)
    for name, text in pages.items():
        code = OF_CODE.findall(text.rpartition("Code: ")[2])
        assert code, f"{name} says where its code is"
        assert not [path for path in code if not (repository / path).exists()], name
