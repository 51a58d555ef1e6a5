"""The site builds without a warning, loads nothing from elsewhere, and refuses a link that leads nowhere."""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
import sys
import types
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LOADED = re.compile(
    r'<(?:script|img|iframe|source)\b[^>]*\bsrc="?((?:https?:)?//[^"\s>]+)'
    r'|<link\b(?=[^>]*rel="?(?:stylesheet|icon|preconnect|preload))[^>]*\bhref="?((?:https?:)?//[^"\s>]+)'
    r"|url\(['\"]?((?:https?:)?//[^)'\"]+)|@import\s+['\"]((?:https?:)?//[^'\"]+)"
)


def build(source: Path, out: Path) -> subprocess.CompletedProcess[str]:
    """What ``make check`` runs, into a folder of its own."""
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "-f", str(source / "mkdocs.yml"), "-d", str(out)]
    return subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)


def copied(to: Path) -> Path:
    """The sources of the site."""
    shutil.copytree(ROOT / "docs", to / "docs")
    for name in ("mkdocs.yml", "CONTRIBUTING.md", "CHANGELOG.md"):
        shutil.copy(ROOT / name, to / name)
    return to


def hook() -> types.ModuleType:
    spec = importlib.util.spec_from_file_location("instar_docs_site", ROOT / "docs" / "site.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site as ``make docs`` builds it."""
    out = tmp_path_factory.mktemp("site")
    done = build(ROOT, out)
    assert done.returncode == 0, done.stderr
    return out


def test_every_page_is_in_the_site(site: Path) -> None:
    pages = [p.relative_to(ROOT / "docs") for p in (ROOT / "docs").rglob("*.md")]
    assert len(pages) > 30
    homes = [site / p.with_name("index.html" if p.stem == "README" else f"{p.stem}.html") for p in pages]
    assert [h for h in [*homes, site / "contributing.html", site / "changelog.html"] if not h.exists()] == []
    assert not list(site.rglob("*.py"))


def test_no_page_loads_anything_from_another_site(site: Path) -> None:
    found = {
        (p.name, "".join(m))
        for p in site.rglob("*")
        if p.suffix in (".html", ".css")
        for m in LOADED.findall(p.read_text(encoding="utf-8"))
    }
    assert found == set()


def test_the_search_works_from_a_file_and_its_script_lies_in_the_site(site: Path) -> None:
    assert (site / "search" / "search_index.js").read_text(encoding="utf-8").startswith("var __index")
    assert (site / "assets" / "iframe-worker.js").stat().st_size > 1_000
    assert "assets/iframe-worker.js" in (site / "index.html").read_text(encoding="utf-8")


def test_what_a_page_would_load_from_elsewhere_is_seen() -> None:
    page = """<link rel="stylesheet" href="https://fonts.example/a"><script src=//cdn.example/x></script>
    <a href="https://arxiv.org">paper</a>
    <style>@import "https://s.example/c"; p { background: url(//i.example/p) }</style>"""
    assert ["".join(m) for m in LOADED.findall(page)] == [
        "https://fonts.example/a", "//cdn.example/x", "https://s.example/c", "//i.example/p",
    ]  # fmt: skip


@pytest.mark.parametrize("bad", ["[x](gone.md)", "[x](guides/tasks.md#gone)", "![x](img/gone.png)"])
def test_a_link_that_leads_nowhere_fails_the_build(tmp_path: Path, bad: str) -> None:
    source = copied(tmp_path)
    with (source / "docs" / "measurements.md").open("a") as page:
        page.write(f"\n{bad}\n")
    done = build(source, tmp_path / "out")
    assert done.returncode != 0
    assert "gone" in done.stderr


def test_a_page_that_nobody_put_into_the_navigation_fails_the_build_unless_its_folder_is_listed(tmp_path: Path) -> None:
    source = copied(tmp_path)
    (source / "docs" / "log" / "2027-01-01-new.md").write_text("# New\n")
    assert build(source, tmp_path / "out").returncode == 0
    assert (tmp_path / "out" / "log" / "2027-01-01-new.html").exists()
    (source / "docs" / "lost.md").write_text("# Lost\n")
    done = build(source, tmp_path / "out")
    assert done.returncode != 0
    assert "lost.md" in done.stderr


def test_a_list_is_set_apart_from_the_text_above_it_and_code_is_left_alone() -> None:
    apart = hook().apart
    assert apart("Two:\n- a\n  more\n- b\nend\n") == "Two:\n\n- a\n  more\n- b\nend\n"
    assert apart("```\ntext\n- a\n```\n") == "```\ntext\n- a\n```\n"
    assert apart("- a\n\n- b\n") == "- a\n\n- b\n"
