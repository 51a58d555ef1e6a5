"""What others import by the names that modules had is found in the modules that they became."""

import importlib
import subprocess
import sys

import pytest

from instar import former


@pytest.mark.parametrize(
    ("module", "name", "now"),
    [
        ("app.own_files", "_CHECKS", "app.scaffold.files"),
        ("app.own_tasks", "_checker", "app.scaffold.tasks"),
        ("engines.llama", "Llama", "engines.native.llama"),
        ("engines.native", "NativeEngine", "engines.native.engine"),
        ("engines.transformers", "TransformersEngine", "engines.hf.engine"),
        ("update.weights.trainer", "Trainer", "update.weights.trainer.trainer"),
        ("update.weights.rows", "rows_of", "update.weights.layout.rows"),
        ("update.weights.model", "Lora", "update.weights.trainer.model"),
    ],
)
def test_a_module_is_found_by_the_name_that_it_had(module: str, name: str, now: str) -> None:
    """In a program of its own: this one has imported all that may stand in a circle."""
    code = f"from instar.{module} import {name} as old; from instar.{now} import {name} as new; assert old is new"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_what_got_another_name_is_found_by_the_one_that_it_had() -> None:
    old = importlib.import_module("instar.update.weights.model")
    assert old.open_learner.__name__ == "open_trainable"
    assert old.save.__module__ == "instar.export.folder"


def test_what_never_was_is_not_there() -> None:
    with pytest.raises(ImportError):
        importlib.import_module("instar.app.never")
    with pytest.raises(AttributeError, match=r"instar\.app\.scaffold\.files.* has no attribute 'never'"):
        _ = importlib.import_module("instar.app.own_files").never
    with pytest.raises(AttributeError):
        _ = importlib.import_module("instar.engines.native").never


def test_no_module_has_a_former_name_of_another() -> None:
    for old, now in former._MOVED.items():
        assert importlib.util.find_spec(f"instar.{now}") is not None, (old, now)
