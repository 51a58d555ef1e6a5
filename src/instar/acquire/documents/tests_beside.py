"""Tests of a function that can be run alone: of its docstring and of test files, as one assert each.

A test is an example in the docstring that shows a plain value, or an ``assert`` in a test function; it calls this
function, and names nothing else but what Python has built in. What needs fixtures, mocks or files is none.
"""

from __future__ import annotations

import ast
import builtins
import contextlib
import doctest
from collections.abc import Iterator, Sequence

from instar.legible import unwarned

UNFIT = (SyntaxError, ValueError, TypeError, RecursionError, MemoryError)
"""What Python raises on code that it cannot read, write or compare: files are untrusted."""


def examples_of(name: str, said: str) -> list[str]:
    """The examples of a docstring that show a plain value and call this function alone, as asserts."""
    try:
        examples = doctest.DocTestParser().get_examples(said)
    except ValueError:
        return []
    found = []
    for example in examples:
        try:
            with unwarned():
                asked = ast.parse(example.source.strip(), mode="eval").body
                want = ast.parse(example.want.strip(), mode="eval").body
                ast.literal_eval(want)
                if not example.options and _calls_only(asked, name):
                    found.append(ast.unparse(ast.Assert(ast.Compare(asked, [ast.Eq()], [want]), None)))
        except UNFIT:
            continue
    return found


def asserts_in(trees: Sequence[ast.Module]) -> dict[str, list[str]]:
    """By function the asserts of test functions that need nothing else: no fixture, and no name of the test's own."""
    found: dict[str, list[str]] = {}
    for tree in trees:
        above = {
            name for statement in tree.body if not isinstance(statement, ast.ImportFrom) for name in gives(statement)
        }
        for test in (n for n in tree.body if isinstance(n, ast.FunctionDef) and n.name.startswith("test")):
            if test.decorator_list or test.args.args:
                continue
            own = above | {n.id for n in ast.walk(test) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
            for node in (n for n in test.body if isinstance(n, ast.Assert)):
                used = {n.id for n in ast.walk(node) if isinstance(n, ast.Name)}
                asked = used - set(vars(builtins))
                if len(asked) == 1 and not used & own:
                    with contextlib.suppress(*UNFIT):
                        found.setdefault(asked.pop(), []).append(ast.unparse(ast.Assert(node.test, None)))
    return found


def _calls_only(node: ast.AST, name: str) -> bool:
    """Whether this function is called there, and nothing is named but it and what Python has built in."""
    used = {n.id for n in ast.walk(node) if isinstance(n, ast.Name)}
    called = any(isinstance(n, ast.Call) and isinstance(n.func, ast.Name) and n.func.id == name for n in ast.walk(node))
    return called and not isinstance(node, ast.Lambda) and used <= {name, *vars(builtins)}


def gives(statement: ast.stmt) -> Iterator[str]:
    """The names that a statement at the top of a file binds."""
    if isinstance(statement, (ast.Import, ast.ImportFrom)):
        yield from ((a.asname or a.name).partition(".")[0] for a in statement.names)
    elif isinstance(statement, (ast.FunctionDef, ast.ClassDef)):
        yield statement.name
    elif isinstance(statement, ast.Assign):
        yield from (t.id for t in statement.targets if isinstance(t, ast.Name))
    elif isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
        yield statement.target.id
