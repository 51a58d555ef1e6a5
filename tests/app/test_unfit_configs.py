"""Configs that no run can have, and users' files that would end one: a sentence and an exit code, before anything."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, ClassVar

import pytest
from pydantic import field_validator

from instar.app.configs.build import build
from instar.app.configs.config import plan
from instar.app.configs.config_file import apply_set, read
from instar.app.configs.user_files import load
from instar.app.sessions.task_sets import draw
from instar.errors import ConfigError, DataError
from instar.protocols import Op, Solve
from instar.recipes import RECIPES

BASE = 'recipe = "rest_em"\nmodel = "scripted"\n'


def refused(tmp_path: Path, text: str) -> str:
    (tmp_path / "mine.toml").write_text(text)
    with pytest.raises(ConfigError) as error:
        plan(read(str(tmp_path / "mine.toml")))
    str(error.value).encode()
    return str(error.value)


@pytest.mark.parametrize(("text", "says"), [
    ("x = " + "[" * 3_000 + "]" * 3_000, "nested too deep"), ("x = " + "[" * 300 + "]" * 300, "nested deeper than 50"),
    ("seed = " + "9" * 6_000, "(seed = ...): a whole number of 6,000 digits is no setting"),
    ("seed = 0x" + "f" * 6_000, "a whole number of 24,000 bits"),
    ('system = "a\\u0000b"', "system: the text holds a NUL (at character 2)"),
    ("rounds = 0", "rounds: Input should be"),
    ("rounds = true", "rounds: a number is wanted, not true"), ("seed = false", "seed: a number is wanted, not false"),
    ("tolerance = true", "tolerance: a number is wanted"), ("[sizes]\ntrain = true", "sizes.train: a number is wanted"),
    ("[solve]\nsamples = true", "solve.samples: a number is wanted"),
    ("[solve.sampling]\ntop_k = true", "solve.sampling.top_k: a number is wanted"),
    ("[budget]\nseconds = true", "budget.seconds: a number is wanted"),
    ('[tasks]\nop = "jsonl"\npath = "a\\u0000b.jsonl"', "tasks.path: the text holds a NUL"),
], ids=range(14))  # fmt: skip
def test_a_value_that_no_setting_takes_is_refused(tmp_path: Path, text: str, says: str) -> None:
    assert says in refused(tmp_path, BASE + text)


@pytest.mark.parametrize("name", sorted(RECIPES))
def test_no_recipe_runs_for_no_rounds_nor_for_true_of_them(name: str) -> None:
    for rounds in (0, -1, True):
        with pytest.raises(ConfigError, match="rounds"):
            plan({"recipe": name, "model": "scripted", "rounds": rounds})


def test_true_is_still_a_value_where_true_is_wanted() -> None:
    made = plan({"recipe": "rest_em", "model": "scripted", "control": True, "engine_options": {}})
    assert made.settings.model_dump()["control"] is True


@pytest.mark.parametrize(
    ("value", "why"), [("9" * 6_000, "of 6,000 digits"), ("[" * 5_000, "nested too deep")], ids=["digits", "brackets"]
)
def test_a_set_that_cannot_be_read_is_refused_in_a_short_sentence(value: str, why: str) -> None:
    with pytest.raises(ConfigError, match=why) as error:
        apply_set({"recipe": "rest_em"}, f"seed={value}")
    assert len(str(error.value)) < 400
    with pytest.raises(ConfigError, match="tables deep"):
        apply_set({"recipe": "rest_em"}, ".".join("a" * 3_000) + "=1")
    with pytest.raises(ConfigError, match="half a character"):  # what the shell hands over that is not UTF-8
        plan({"recipe": "rest_em", "model": "scripted", "system": "a\udcff"})
    with pytest.raises(ConfigError, match=r"a key in .*half a character"):
        plan({"recipe": "rest_em", "engine_options": {"\udcff": 1}})


def test_a_config_that_is_a_device_a_pipe_or_a_film_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.toml")
    (tmp_path / "zero.toml").symlink_to("/dev/zero")
    with (tmp_path / "film.toml").open("wb") as film:
        film.truncate(20_000_000_000)
    for name, says in (("pipe", "a pipe"), ("zero", "a device"), ("film", "it is no config")):
        with pytest.raises(ConfigError, match=says):
            read(str(tmp_path / f"{name}.toml"))


def test_a_home_folder_that_nobody_has_leads_nowhere(tmp_path: Path) -> None:
    text = BASE + '[tasks]\nop = "jsonl"\npath = "~nobody-here/x.jsonl"\n'
    (tmp_path / "mine.toml").write_text(text)
    with pytest.raises(DataError, match=r"There is no file .*~nobody-here/x.jsonl"):
        draw(plan(read(str(tmp_path / "mine.toml"))))
    with pytest.raises(ConfigError, match="no file"):
        plan({"recipe": "rest_em", "model": "scripted", "judge": {"op": "verify", "checker": "~nobody-here/c.py:f"}})
    long = BASE + f'[tasks]\nop = "jsonl"\npath = "{"x" * 5_000}.jsonl"\n'
    (tmp_path / "mine.toml").write_text(long)
    with pytest.raises(DataError, match="cannot be read: File name too long"):
        draw(plan(read(str(tmp_path / "mine.toml"))))


def test_numbers_too_long_for_a_question_are_refused_as_a_setting() -> None:
    families = {"chain_sum": {"min_digits": 100_000, "max_digits": 100_000}}
    with pytest.raises(ConfigError, match="reasoning-gym refuses these settings of chain_sum: Exceeds the limit"):
        draw(plan({"recipe": "rest_em", "model": "scripted", "tasks": {"op": "reasoning_gym", "families": families}}))


@pytest.mark.parametrize("code", ["import sys\nsys.exit(0)", "raise SystemExit", "raise ValueError('half \\ud83d')"])
def test_a_users_file_that_ends_the_program_when_it_is_loaded_is_refused(tmp_path: Path, code: str) -> None:
    (tmp_path / "mine.py").write_text(f"{code}\ndef f(e):\n    return True\n")
    with pytest.raises(ConfigError, match=r"mine.py fails when it is loaded: (SystemExit|ValueError)") as error:
        load(f"{tmp_path / 'mine.py'}:f")
    str(error.value).encode()


class Exits(Solve):
    """A user's operator that ends the program as soon as it is made."""

    name: ClassVar[str] = "test_exits"
    how: str = "exit"

    @field_validator("how")
    @classmethod
    def _check(cls, value: str) -> str:
        raise SystemExit(0) if value == "exit" else RuntimeError("half \ud83d")

    async def __call__(self, *args: Any) -> Any: ...


@pytest.mark.parametrize(("how", "says"), [("exit", "SystemExit: 0"), ("raise", r"RuntimeError: half \\ud83d")])
def test_a_users_class_that_ends_the_program_when_it_is_made_is_refused(how: str, says: str) -> None:
    made: type[Op] = Exits
    with pytest.raises(ConfigError, match=f"solve: Exits fails: {says}"):
        build(made, {"how": how}, where="solve")


def test_a_local_filter_with_a_setting_it_does_not_have_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("def f(e):\n    return True\n")
    right = {"op": f"{tmp_path / 'mine.py'}:f", "strict": 1}
    with pytest.raises(ConfigError, match=r"there is no key 'right.*strict'"):
        plan({"recipe": "rest_em", "model": "scripted", "right": right})


def test_a_users_source_that_fails_is_a_data_error(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(
        "from instar.protocols import Source\nclass Mine(Source):\n    name = 'test_mine'\n"
        "    def __call__(self, wanted, seeds):\n        raise SystemExit(0)\n"
    )
    with pytest.raises(DataError, match="the source test_mine failed: SystemExit: 0"):
        draw(plan({"recipe": "rest_em", "model": "scripted", "tasks": {"op": f"{tmp_path / 'mine.py'}:Mine"}}))
