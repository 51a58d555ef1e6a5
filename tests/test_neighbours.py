"""The text of a user's file and of what it imports from beside it."""

from __future__ import annotations

from pathlib import Path

import pytest

from instar.acquire.feedback.verify import Verify
from instar.app.configs.user_files import load
from instar.neighbours import text_of, with_neighbours

CHECK = (
    "import helper\nfrom rules import strict\n\ndef is_right(reply, private):\n    return helper.good(reply, private)\n"
)


def write(folder: Path, **files: str) -> None:
    for name, text in files.items():
        path = folder / f"{name.replace('__in__', '/')}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


@pytest.mark.parametrize(
    "changed", ["chk", "helper", "deeper", "rules__in____init__", "rules__in__strict", "rules__in__base"]
)
def test_a_change_in_any_file_that_a_check_imports_is_another_source(tmp_path: Path, changed: str) -> None:
    write(
        tmp_path, chk=CHECK, helper="def good(r, p):\n    import deeper\n    return deeper.good(r, p)\n",
        deeper="good = all\n",
        rules__in____init__="", rules__in__strict="from .base import x\n", rules__in__base="x = 1\n",
    )  # fmt: skip
    judge = Verify(checker=f"{tmp_path / 'chk.py'}:is_right")
    before = judge.source_digest()
    assert judge.source_digest() == before
    file = tmp_path / f"{changed.replace('__in__', '/')}.py"
    file.write_text(file.read_text() + "# weaker\n")
    assert judge.source_digest() != before


def test_a_users_operator_is_what_else_stands_in_its_file_too_but_for_what_it_looks_for_beforehand(
    tmp_path: Path,
) -> None:
    text = """from instar.protocols import Filter
from instar.records import Decision
LEAST = 1.0
class Own(Filter):
    name = "own"
    def prepare(self, tasks):
        pass
    def __call__(self, items):
        return [Decision(item=e.id, kept=e.feedback.score >= LEAST, reason="") for e in items]
"""
    made = []
    for number, changed in enumerate((text, text.replace("pass", "return None"), text.replace("1.0", "0.1"))):
        file = tmp_path / str(number) / "own.py"
        write(file.parent, own=changed)
        made.append(load(f"{file}:Own")().source_digest())
    assert made[0] == made[1] != made[2]


def test_what_is_beside_a_check_and_not_imported_is_no_part_of_it(tmp_path: Path) -> None:
    write(tmp_path, chk=CHECK, notes="anything = 1\n")
    assert with_neighbours(tmp_path / "chk.py") == CHECK


def test_files_that_import_each_other_or_cannot_be_read_end_the_search(tmp_path: Path) -> None:
    write(tmp_path, one="import two\nimport torn\n", two="import one\n")
    (tmp_path / "torn.py").write_bytes(b"\xff\xfe\x00")
    assert with_neighbours(tmp_path / "one.py") == "import two\nimport torn\nimport one\n"


@pytest.mark.parametrize("raw", ["\ufeffx = 'é'\n".encode(), "# -*- coding: latin-1 -*-\nx = 'é'\n".encode("latin-1")])
def test_a_file_is_read_as_python_reads_it_and_its_check_is_taken(tmp_path: Path, raw: bytes) -> None:
    file = tmp_path / "chk.py"
    file.write_bytes(raw + b"def is_right(reply, private):\n    return True\n")
    assert "x = 'é'" in text_of(file)
    Verify(checker=f"{file}:is_right").source_digest()
