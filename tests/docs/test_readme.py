"""README.md and README.zh.md say the same, show the same demo, and every relative link of the pages leads somewhere."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from instar.app.scaffold.tasks import FEWEST, fit

ROOT = Path(__file__).parents[2]
LANGUAGES = ("README.md", "README.zh.md")
PAGES = sorted(
    [*LANGUAGES, "CONTRIBUTING.md", "CHANGELOG.md"]
    + [p.relative_to(ROOT).as_posix() for p in (ROOT / "docs").rglob("*.md")]
)


def blocks(text: str, kind: str) -> list[str]:
    """What stands in the fenced blocks of this kind."""
    return re.findall(rf"^```{kind}\n(.*?)^```$", text, flags=re.DOTALL | re.MULTILINE)


def bare(code: str) -> list[str]:
    """Its lines without comments, which are translated."""
    return [line for line in (re.sub(r"(^|\s)#.*", "", x).rstrip() for x in code.splitlines()) if line]


def links(text: str) -> list[str]:
    """Where its links and pictures lead, but for other sites and places on the same page."""
    text = re.sub(r"^```.*?^```$", "", text, flags=re.DOTALL | re.MULTILINE)
    found = re.findall(r"\]\(([^)\s]+)\)", text) + re.findall(r'(?:src|href)="([^"]+)"', text)
    return [x.partition("#")[0] for x in found if not re.match(r"[a-z]+:|#", x)]


def broken(page: Path) -> list[str]:
    """The links of a page that lead nowhere."""
    return [x for x in links(page.read_text(encoding="utf-8")) if not (page.parent / x).exists()]


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def test_both_readmes_show_the_same_output_of_the_demo() -> None:
    english, chinese = (blocks(read(name), "text") for name in LANGUAGES)
    assert len(english) == 1
    assert english[0].startswith("run demo-1 (rest_em, smollm2-135m): finished\n")
    assert chinese == english


@pytest.mark.parametrize("kind", ["console", "toml", "python"])
def test_both_readmes_have_the_same_commands_and_files(kind: str) -> None:
    english, chinese = ([bare(b) for b in blocks(read(name), kind)] for name in LANGUAGES)
    assert english
    assert chinese == english


def test_both_readmes_name_the_same_recipes_papers_pages_and_inline_commands() -> None:
    english, chinese = (read(name) for name in LANGUAGES)
    rows = [re.findall(r"^\| `(\w+)` \|.*\| (\d{4}\.\d{5}) \|$", text, re.MULTILINE) for text in (english, chinese)]
    assert len(rows[0]) >= 10
    assert rows[1] == rows[0]
    shared = [sorted(x for x in links(text) if not x.startswith("README")) for text in (english, chinese)]
    assert shared[1] == shared[0]
    said = [set(re.findall(r"`((?:instar|make) [^`]+)`", text)) for text in (english, chinese)]
    assert said[1] == said[0]
    assert [len(re.findall(r"^## ", text, re.MULTILINE)) for text in (english, chinese)] == [5, 5]


def test_each_readme_leads_to_the_other() -> None:
    assert "README.zh.md" in links(read("README.md"))
    assert "README.md" in links(read("README.zh.md"))


@pytest.mark.parametrize("name", LANGUAGES)
def test_the_sizes_of_the_shown_config_take_the_200_rows_that_the_text_names(name: str) -> None:
    config = tomllib.loads(blocks(read(name), "toml")[0])
    sizes, made = config["sizes"], fit(200)
    assert config["rounds"] * (sizes["train"] + sizes["gate"]) + sizes["sealed"] == 200
    written = {"train": made.train, "gate": made.gate, "sealed": made.sealed}
    assert (config["rounds"], sizes) == (made.rounds, written)  # what `init` writes
    assert ("200", str(round(made.detects)), str(FEWEST)) == tuple(
        re.findall(r"\d+", read(name).split("```toml")[0].rpartition("`instar init")[2])
    )


def test_make_setup_ends_with_what_to_do_next_and_runs_nothing() -> None:
    recipe = re.findall(r"^setup: .*\n((?:\t.*\n)+)", read("Makefile"), re.MULTILINE)[0].splitlines()
    assert "$(BIN)/activate" in recipe[-1]
    assert "instar run demo" in recipe[-1]
    assert all(line.startswith("\t@echo ") for line in recipe)


@pytest.mark.parametrize("name", PAGES)
def test_every_relative_link_of_a_page_leads_to_a_file(name: str) -> None:
    assert broken(ROOT / name) == []


def test_a_link_that_leads_nowhere_is_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        '[a](page.md) [b](gone.md#x) <img src="gone.png"> [c](https://example.org)\n```\n[d](code.md)\n```\n'
    )
    assert broken(page) == ["gone.md", "gone.png"]
