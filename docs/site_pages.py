"""Hook of MkDocs: pages that stand elsewhere in the checkout, and links as both the checkout and the site have them."""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File

ROOT = Path(__file__).parent.parent
# In the checkout -> on the site.
ELSEWHERE = {
    "README.md": "index.md",
    "config/README.md": "reference.md",
    "bench/zoo.md": "bench/zoo.md",
    "bench/results/README.md": "bench/results.md",
    "bench/pruning/README.md": "bench/pruning.md",
    "bench/ship/README.md": "bench/ship.md",
}
LINK = re.compile(r"(?P<image>!?)\[(?P<text>[^\]]*)\]\((?P<target>[^)#:\s]+)(?P<anchor>#[^)\s]*)?\)")


def on_files(files: Any, config: Any) -> Any:
    """Add the pages that are not below docs/."""
    for source, place in ELSEWHERE.items():
        files.append(File.generated(config, place, content=(ROOT / source).read_text(encoding="utf-8")))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Links of the checkout, which people follow there too, become the site's; what is not on the site is text."""
    place = page.file.src_uri
    source = next((origin for origin, site in ELSEWHERE.items() if site == place), f"docs/{place}")

    def moved(link: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join(posixpath.dirname(source), link["target"]))
        if not (ROOT / target).exists():
            return link[0]  # MkDocs says that it leads nowhere
        on_site = ELSEWHERE.get(target) or (target.removeprefix("docs/") if target.startswith("docs/") else None)
        if on_site is None:
            return f"`{target}`"
        relative = posixpath.relpath(on_site, posixpath.dirname(place) or ".")
        return f"{link['image']}[{link['text']}]({relative}{link['anchor'] or ''})"

    return LINK.sub(moved, markdown)
