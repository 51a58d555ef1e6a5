"""Law: every recipe has a page that says its steps, what was measured and when not to use it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from instar.recipes import RECIPES

PAGES = Path(__file__).parents[2] / "docs" / "recipes"
PARTS = ("Run it", "Steps", "Measured", "When not to use it")
NOT_YET = "Not measured on a real model yet"


def lacking(names: Iterable[str], pages: Path) -> list[str]:
    """What is missing on which page, a sentence each. A measured figure must lead to its log."""
    wrong = []
    for name in names:
        page = pages / f"{name}.md"
        if not page.exists():
            wrong.append(f"{name} has no page")
            continue
        text = page.read_text(encoding="utf-8")
        parts = {
            title: body.strip()
            for title, body in re.findall(r"^## ([^\n]+)\n(.*?)(?=^## |\Z)", text, re.DOTALL | re.MULTILINE)
        }
        wrong += [f"{name} does not say: {part}" for part in PARTS if not parts.get(part)]
        measured = parts.get("Measured", "")
        if measured and NOT_YET not in measured and "](../log/" not in measured:
            wrong.append(f"{name} shows figures and no log")
        if f"../reference/recipes.md#{name})" not in text:
            wrong.append(f"{name} does not lead to its settings")
    return wrong


def test_every_recipe_has_a_whole_page() -> None:
    assert lacking(RECIPES, PAGES) == []


def test_every_page_is_of_a_recipe() -> None:
    assert {p.stem for p in PAGES.glob("*.md")} == {*RECIPES, "README"}


def test_a_missing_page_a_missing_part_and_a_figure_without_its_log_are_caught(tmp_path: Path) -> None:
    whole = (PAGES / "star.md").read_text(encoding="utf-8")
    (tmp_path / "star.md").write_text(whole)
    (tmp_path / "short.md").write_text(
        "[x](../reference/recipes.md#short)\n\n## Run it\n\na\n\n## Steps\n\n## Measured\n\n+3 points\n"
    )
    assert lacking(["star"], tmp_path) == []
    assert lacking(["gone", "short"], tmp_path) == [
        "gone has no page",
        "short does not say: Steps",
        "short does not say: When not to use it",
        "short shows figures and no log",
    ]
