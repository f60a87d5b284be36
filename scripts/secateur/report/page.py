"""Pages from templates, each in one file, with escaped text."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from secateur import __version__
from secateur.evaluation.latency_figures import figure_ms, is_busy
from secateur.report.words import decimal_bytes, points, short

TEMPLATES = Path(__file__).with_name("templates")


def render(template: str, **content: Any) -> str:
    """The text of a page.

    Args:
        template: file name.
        content: values for the template. Strings are escaped; values of `figure` in the templates are our own SVG.
    """
    return _environment().get_template(template).render(**content, version=__version__)


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        decimal_bytes=decimal_bytes, short=short, points=points, figure_ms=figure_ms, is_busy=is_busy
    )
    return environment
