"""HTML pages in one file, without scripts."""

from __future__ import annotations

import base64
import io
from html import escape

from PIL import Image

STYLE = """
:root { color-scheme: light dark; --ink: #1c2321; --paper: #fdfdfb; --soft: #6a736f; --kept: #2f7d5b; --gone: #d9ded9;
  --line: #e3e6e2; }
@media (prefers-color-scheme: dark) { :root { --ink: #e8ebe9; --paper: #171b1a; --soft: #98a29d; --kept: #58b68a;
  --gone: #343b38; --line: #2a302e; } }
body { font: 15px/1.45 system-ui, sans-serif; color: var(--ink); background: var(--paper); margin: 2rem auto;
  max-width: 62rem; padding: 0 1rem; }
h1 { font-size: 1.5rem; margin: 0 0 .5rem; } p { margin: .3rem 0; } .soft { color: var(--soft); }
table { border-collapse: collapse; width: 100%; margin-top: 1.2rem; }
th { text-align: left; font-weight: 600; font-size: .85rem; color: var(--soft); }
th, td { padding: .45rem .6rem .45rem 0; border-bottom: 1px solid var(--line); vertical-align: top; }
td:first-child { overflow-wrap: anywhere; } .wide td:first-child { width: 38%; } td.count { white-space: nowrap; }
.bar { background: var(--gone); border-radius: 3px; height: .8rem; min-width: 9rem; margin-top: .3rem; }
.bar > div { background: var(--kept); border-radius: 3px; height: 100%; }
h2 { font-size: 1.1rem; margin: 1.6rem 0 0; } .number { text-align: right; font-variant-numeric: tabular-nums; }
.warning { border-left: 3px solid #c98a1b; padding-left: .6rem; } img { border-radius: 3px; }
.key { display: inline-block; width: .8rem; height: .8rem; border-radius: 3px; vertical-align: -1px; }
"""


def document(title: str, body: str) -> str:
    """A whole page.

    Args:
        title: plain text.
        body: HTML.
    """
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(title)}</title><style>{STYLE}</style></head><body>
{body}
</body></html>
"""


def data_uri(image: Image.Image) -> str:
    """A picture as a data URI for a page, in WebP, which is small and can be transparent."""
    out = io.BytesIO()
    image.save(out, "webp", quality=82)
    return f"data:image/webp;base64,{base64.b64encode(out.getvalue()).decode()}"
