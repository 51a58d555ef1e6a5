"""The law of the one speaker: SQL, and whatever speaks it, stands inside ``store`` alone.

Another database is then a matter of one room. Whoever wants to know something of a ledger asks a function of
``instar.store.readers`` (or of the ledger), and whoever opens one goes through ``open_ledger``.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.laws.source import PACKAGE, files, module_name, tree

SQL = re.compile(
    r"\bselect\b[^.]*?\bfrom\b|\b(insert|replace)\s+(or\s+\w+\s+)?into\b|\bupdate\s+\w+\s+set\b|\bdelete\s+from\b"
    r"|\b(create|drop|alter)\s+(table|index)\b|\bpragma\s+\w|\bvacuum\s+into\b|\bjson_(each|extract|array_length)\b",
    re.IGNORECASE | re.DOTALL,
)
SPEAKERS = {"sqlalchemy", "sqlite3", "psycopg", "asyncpg"}
CALLS = {"execute", "executemany", "executescript", "exec_driver_sql", "_select", "_stream", "snapshot"}
OPENS = {"Ledger", "Ledger.read"}
"""What ``open_ledger`` is there for."""


def prose(module: ast.Module) -> set[int]:
    """The strings that are read by people: docstrings, and strings that stand alone below a name."""
    return {
        id(node.value)
        for node in ast.walk(module)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }


def speaks_sql(path: Path) -> Iterator[str]:
    """One sentence for each place in a file that only the store may hold."""
    module = tree(path)
    left = prose(module)
    for node in ast.walk(module):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in left:
            if SQL.search(node.value):
                yield f"line {node.lineno}: SQL in a string: {' '.join(node.value.split())[:60]!r}"
        elif isinstance(node, ast.Import | ast.ImportFrom):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else [node.module or ""]
            for name in names:
                if name.split(".")[0] in SPEAKERS:
                    yield f"line {node.lineno}: imports {name}"
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in CALLS:
            yield f"line {node.lineno}: calls .{node.func.attr}()"
        elif isinstance(node, ast.Call) and ast.unparse(node.func) in OPENS:
            yield f"line {node.lineno}: opens a ledger itself, not through open_ledger"


def outside(package: Path = PACKAGE) -> list[Path]:
    return [p for p in files(package) if module_name(p, package).split(".")[1:2] != ["store"]]


def test_nothing_outside_the_store_speaks_sql() -> None:
    found = [f"{module_name(p)}: {sentence}" for p in outside() for sentence in speaks_sql(p)]
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    "code",
    [
        "ROWS = 'select id from records'",
        'ROWS = """\nselect id,\n  body\nfrom records where kind = :kind"""',
        "def f(t):\n    return f'SELECT count(*) FROM {t}'",
        "def f(c):\n    c.execute(given)",
        "def f(ledger):\n    return list(ledger._stream(given))",
        "def f(ledger):\n    with ledger.snapshot() as db:\n        return db",
        "import sqlalchemy",
        "def f():\n    from sqlalchemy.exc import SQLAlchemyError",
        "import sqlite3",
        "X = \"json_extract(body, '$.kept')\"",
        "X = 'pragma wal_checkpoint(truncate)'",
        "X = 'update steps set finished = 1'",
        "def f(path):\n    return Ledger(path)",
        "def f(path):\n    return Ledger.read(path)",
    ],
)
def test_sql_outside_the_store_is_caught(tmp_path: Path, code: str) -> None:
    package = tmp_path / "instar"
    (package / "report").mkdir(parents=True)
    (package / "report" / "x.py").write_text(f'"""A report."""\n{code}\n')
    (package / "store").mkdir()
    (package / "store" / "x.py").write_text(f'"""A store."""\n{code}\n')
    assert [p.parent.name for p in outside(package)] == ["report"]
    assert len(list(speaks_sql(outside(package)[0]))) == 1


@pytest.mark.parametrize(
    "code",
    [
        '"""Select the tasks from a pool."""',
        "def f():\n    '''select one from many'''\n    return 1",
        "SETTING = 1\n'''What select takes from the pool.'''",
        "HINT = 'Select another row. Take it from the file.'",
        "def f(sock):\n    import select\n    return select.select([sock], [], [], 0)",
        "def f():\n    import sys\n    return sys.modules.get('sqlalchemy.exc')",
    ],
)
def test_words_that_only_look_like_it_are_left_alone(tmp_path: Path, code: str) -> None:
    file = tmp_path / "x.py"
    file.write_text(code + "\n")
    assert list(speaks_sql(file)) == []
