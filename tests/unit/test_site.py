"""The documentation as a site: built without a warning, and nothing in it comes from the network."""

import os
import re
import subprocess
import sys

import yaml


def test_the_site_is_built_offline_without_warnings(repository, tmp_path):
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path / "site")]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, cwd=repository, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "WARNING" not in done.stderr
    pages = list((tmp_path / "site").rglob("*.html"))
    assert len(pages) > 18
    for page in pages:
        text = page.read_text()
        loaded = re.findall(r"<(?:script|img|iframe)[^>]*src=\"(https?:[^\"]*)", text)
        loaded += re.findall(r"<link[^>]*rel=\"(?:stylesheet|preload|icon)\"[^>]*href=\"(https?:[^\"]*)", text)
        assert not loaded, page.name


def test_every_page_is_in_the_navigation(repository):
    navigation = yaml.safe_load((repository / "mkdocs.yml").read_text())["nav"]
    listed = set(re.findall(r"[\w/-]+\.md", str(navigation)))
    docs = repository / "docs"
    assert {page.relative_to(docs).as_posix() for page in docs.rglob("*.md")} <= listed
