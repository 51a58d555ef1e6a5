"""The generated reference: it shows what is in the code, the same bytes each time, and a stale page is named."""

from __future__ import annotations

import enum
import importlib.util
import os
import subprocess
import sys
import types
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
import typer
from pydantic import BaseModel, Field

from instar.records import Sampling

SCRIPT = Path(__file__).parents[2] / "docs" / "generate.py"


def load() -> types.ModuleType:
    spec = importlib.util.spec_from_file_location("instar_docs_generate", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


generate = load()


class Shade(enum.StrEnum):
    dark = "dark"


class Settings(BaseModel):
    """Settings of a test."""

    share: float = Field(default=0.5, ge=0.0, lt=1.0, description="a | b")
    way: Literal["up", "down"] | None = None
    shade: Shade = Shade.dark
    sampling: Sampling = Sampling(temperature=0.7)
    words: Annotated[tuple[str, ...], Field(max_length=3)] = ("one",)
    needed: dict[str, int]


def test_a_field_is_written_with_its_type_its_bounds_its_default_and_its_meaning() -> None:
    text = "\n".join(generate.fields_table(Settings))
    assert "| `share` | `float`, >= 0.0, < 1.0 | `0.5` | a \\| b |" in text
    assert "| `way` | `'up' \\| 'down' \\| None` | `None` |" in text
    assert "| `shade` | `Shade` | `'dark'` |" in text
    assert "`Sampling(temperature=0.7)`" in text
    assert "| `words` | `tuple[str, ...]`, length <= 3 | `('one',)` |" in text
    assert "| `needed` | `dict[str, int]` | required |" in text


def test_a_default_is_written_the_same_way_in_every_process() -> None:
    assert generate.value_text({"b", "a"}) == "{'a', 'b'}"
    assert generate.value_text(object()) == "object(...)"
    assert generate.value_text(Path.home() / "runs") == "'~/runs'"
    assert generate.value_text(len) == "len"


def test_the_errors_named_in_a_docstring_become_a_list() -> None:
    text = "Does it.\n\nRaises:\n    DataError: too few,\n        with the number.\n    ConfigError: a typo.\n\nMore."
    listed = "Raises:\n\n- DataError: too few,\n      with the number.\n- ConfigError: a typo.\n\nMore."
    assert generate.as_markdown(text) == f"Does it.\n\n{listed}"


def test_the_records_page_shows_every_kind_and_every_value() -> None:
    text = generate.records_page()
    for word in ("## Task", "## Verdict", "### Sampling", "### Mark", "`temperature`", "Kind `policy`"):
        assert word in text
    assert "| `id` |" not in text


def test_the_operators_page_shows_each_operator_of_the_package_once() -> None:
    from instar.protocols import Op
    from tests.laws.test_names import operators

    text = generate.operators_page()
    ops: list[type[Op]] = operators()
    assert len(ops) > 0
    assert [text.count(f"### `{cls.name}`\n") for cls in ops] == [1] * len(ops)


def run(out: Path, *args: str, seed: str = "0") -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "PYTHONHASHSEED": seed}
    command = [sys.executable, str(SCRIPT), "--out", str(out), *args]
    return subprocess.run(command, capture_output=True, text=True, env=env, timeout=60)


def test_the_same_code_gives_the_same_bytes_and_a_stale_page_is_named(tmp_path: Path) -> None:
    missing = run(tmp_path, "--check")
    assert missing.returncode == 1
    assert "records.md is missing" in missing.stderr
    assert not list(tmp_path.iterdir())  # a check writes nothing

    assert run(tmp_path, seed="1").returncode == 0
    assert run(tmp_path, "--check", seed="2").returncode == 0

    page = tmp_path / "reference" / "records.md"
    page.write_text(page.read_text().replace("## Verdict", "## Judgement"))
    stale = run(tmp_path, "--check")
    assert stale.returncode == 1
    assert 'run "make docs"' in stale.stderr
    assert "records.md differs" in stale.stderr
    assert "operators.md" not in stale.stderr
    assert "Judgement" in page.read_text()


def test_what_was_written_by_hand_on_a_recipes_page_is_kept_and_the_rest_follows_the_code(tmp_path: Path) -> None:
    assert run(tmp_path).returncode == 0
    page = tmp_path / "recipes" / "star.md"
    written = page.read_text()
    assert written.endswith(f"{generate.BY_HAND}\n")
    page.write_text(written.replace("arXiv 2203.14465", "arXiv 1") + "\n## Steps\n\nMine.\n")
    stale = run(tmp_path, "--check")
    assert stale.returncode == 1
    assert "star.md differs" in stale.stderr
    assert run(tmp_path).returncode == 0
    assert page.read_text() == written + "\n## Steps\n\nMine.\n"


def test_a_page_is_left_out_only_if_exactly_its_module_does_not_exist(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "broken_page.py").write_text("import a_library_that_is_not_there")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert generate.present("no_such_page") is None
    with pytest.raises(ModuleNotFoundError, match="a_library_that_is_not_there"):
        generate.present("broken_page")


@dataclass
class Recipe:
    name: str
    paper: str
    title: str
    config: type[BaseModel]
    function: Any


def test_the_recipes_page_shows_the_paper_the_text_and_the_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    def walk() -> None:
        """One line that the module says better."""

    home = types.ModuleType("home_of_walk", "Walk the rounds.")
    walk.__module__ = home.__name__
    monkeypatch.setitem(sys.modules, home.__name__, home)
    monkeypatch.setitem(sys.modules, "instar.recipes.recipe", types.ModuleType("instar.recipes.recipe"))
    registry = types.ModuleType("instar.recipes")
    registry.RECIPES = {"walk": Recipe("walk", "arXiv 1234.56789", "A walk", Settings, walk)}  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "instar.recipes", registry)
    text = generate.recipes_page()
    for word in ("## `walk`", "**A walk**", "Paper: arXiv 1234.56789", "Walk the rounds.", "`share`"):
        assert word in text


def test_the_commands_page_shows_arguments_options_and_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    app = typer.Typer()

    @app.command()
    def show(
        run: str,
        item: Annotated[str, typer.Argument()] = "",
        last: bool = False,
        limit: Annotated[int, typer.Option(help="How many rows.")] = 20,
    ) -> None:
        """Show a run."""

    @app.command(hidden=True)
    def secret() -> None:
        """Not for the reader."""

    main = types.ModuleType("instar.cli.main")
    main.app = app  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "instar.cli.main", main)
    text = generate.commands_page()
    assert "## `instar show`" in text
    assert "Show a run." in text
    assert "    instar show RUN [ITEM] [OPTIONS]" in text
    assert "| `RUN` | required |" in text
    assert "| `--limit` | `20` | How many rows. |" in text
    assert "`--last`, `--no-last`" in text
    assert "secret" not in text
    assert "completion" not in text
