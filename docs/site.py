"""What the site needs beyond MkDocs: pages of the repository's root, folders in the navigation, lists as GitHub's.

MkDocs calls the functions named ``on_...`` (`hooks` in mkdocs.yml). They read nothing but the repository.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[1]
FROM_ROOT = {"CONTRIBUTING.md": "contributing.md", "CHANGELOG.md": "changelog.md"}
_FENCE = re.compile(r"^\s*(```|~~~)")
_ITEM = re.compile(r"^(\s*)([-*]|\d+\.)\s+\S")


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Write out ``FOLDER/*`` in the navigation, so that a new log or decision needs no line there."""
    named = set(_pages(config.nav))
    config.nav = _written_out(config.nav, Path(config.docs_dir), named)
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that lie at the repository's root, where GitHub looks for them."""
    for name, page in FROM_ROOT.items():
        text = (ROOT / name).read_text(encoding="utf-8")
        text = re.sub(r"\]\(docs/design/?\)", "](design/README.md)", text)
        files.append(File.generated(config, page, content=text.replace("](docs/", "](")))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Lead links to the repository's root to their pages here, and set lists apart from the text above them."""
    up = "../" * page.file.src_uri.count("/")
    for name, here in FROM_ROOT.items():
        markdown = markdown.replace(f"]({up}../{name}", f"]({up}{here}")
    return apart(markdown)


def apart(markdown: str) -> str:
    """A blank line before each list that follows a line of text: GitHub needs none, Python-Markdown does."""
    lines: list[str] = []
    fenced = in_list = False
    for line in markdown.splitlines():
        if _FENCE.match(line):
            fenced = not fenced
        elif not fenced:
            item = _ITEM.match(line)
            if item and not in_list and not item.group(1) and lines and lines[-1].strip():
                lines.append("")
            in_list = bool(item) or (in_list and (not line.strip() or line[:1] == " " or bool(lines[-1].strip())))
        lines.append(line)
    return "\n".join(lines) + "\n"


def _pages(nav: Any) -> list[str]:
    """Every page that a navigation names."""
    if isinstance(nav, str):
        return [nav]
    inner = nav.values() if isinstance(nav, dict) else nav
    return [page for entry in inner for page in _pages(entry)]


def _written_out(nav: Any, docs: Path, named: set[str]) -> Any:
    if isinstance(nav, dict):
        return {title: _written_out(entry, docs, named) for title, entry in nav.items()}
    if isinstance(nav, str):
        return nav
    entries: list[Any] = []
    for entry in nav:
        if isinstance(entry, str) and entry.endswith("/*"):
            found = sorted(p.relative_to(docs).as_posix() for p in (docs / entry[:-2]).glob("*.md"))
            entries += [page for page in found if page not in named]
        else:
            entries.append(_written_out(entry, docs, named))
    return entries
