"""Functions in Python files, with the tests that stand beside them. The files are parsed and never imported."""

from __future__ import annotations

import ast
import builtins
import copy
import doctest
import hashlib
import re
import symtable
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from instar.acquire.documents.read import Document
from instar.acquire.documents.tests_beside import UNFIT, asserts_in, examples_of, gives
from instar.legible import unwarned

LONGEST = 4_000
"""Characters of a function that is asked for: what is longer is no exercise."""
_TEST_FILE = re.compile(r"(?:^|/)(?:test_[^/]*|[^/]*_test|conftest)\.py$")


class Function(NamedTuple):
    """A function of a file: ``asks`` is its head and its docstring without examples, ``before`` the imports, constants
    and helpers of its file that it needs, ``source`` the function without its docstring."""

    file: str
    name: str
    asks: str
    before: str
    source: str
    tests: tuple[str, ...]
    digest: str
    """Of what it does, whatever it is called: copies have the same."""


class Passed(NamedTuple):
    """A function that is no task, and why."""

    name: str
    reason: str


def functions(documents: Sequence[Document], least: int) -> tuple[list[Function], list[Passed]]:
    """The functions with at least ``least`` tests, in the order of files; and those that were passed over."""
    trees: dict[str, ast.Module] = {}
    passed: list[Passed] = []
    for document in documents:
        if document.left_out:
            passed.append(Passed(document.name, f"of it was left out: {'; '.join(document.left_out)}"))
            continue
        try:
            with unwarned():
                trees[document.name] = ast.parse(document.text)
        except UNFIT as error:
            passed.append(Passed(document.name, f"it is not Python ({type(error).__name__})"))
    asserted = asserts_in([tree for name, tree in trees.items() if _TEST_FILE.search(name)])
    found: dict[str, Function] = {}
    names = Counter(n.name for name, t in trees.items() if not _TEST_FILE.search(name) for n in _defined(t))
    for file, tree in trees.items():
        given = {name: statement for statement in tree.body for name in gives(statement)}
        for node in () if _TEST_FILE.search(file) else _defined(tree):
            own = asserted.get(node.name, []) if names[node.name] == 1 else []
            try:
                made = _function(file, tree, given, node, own, least)
            except UNFIT as error:
                made = Passed(f"{file}: {node.name}", f"it cannot be taken out of its file ({type(error).__name__})")
            if isinstance(made, Function) and made.digest in found:
                made = Passed(f"{file}: {node.name}", f"it does what {found[made.digest].name} does")
            if isinstance(made, Passed):
                passed.append(made)
            else:
                found[made.digest] = made
    return list(found.values()), passed


def _defined(tree: ast.Module) -> list[ast.FunctionDef]:
    return [n for n in tree.body if isinstance(n, ast.FunctionDef) and not n.name.startswith("_")]


def _function(
    file: str,
    tree: ast.Module,
    given: Mapping[str, ast.stmt],
    node: ast.FunctionDef,
    asserted: Sequence[str],
    least: int,
) -> Function | Passed:
    where = f"{file}: {node.name}"
    said = ast.get_docstring(node) or ""
    tests = list(dict.fromkeys([*examples_of(node.name, said), *asserted]))
    if node.decorator_list:
        return Passed(where, "it is decorated")
    if len(tests) < least:
        return Passed(where, f"it has {len(tests)} tests that can be run alone, and {least} are needed")
    prose = _prose(said)
    if not prose:
        return Passed(where, "nothing says what it does")
    source = ast.unparse(_without_docstring(node))
    if len(source) > LONGEST:
        return Passed(where, f"it has {len(source):,} characters, and {LONGEST:,} are the most")
    before = _before(tree, given, node)
    if before is None:
        return Passed(where, "it needs more of its file or of other packages than the standard library has")
    head = ast.unparse(_with_body(_plainly_annotated(node), ast.Expr(ast.Constant(prose))))
    return Function(file, node.name, head, before, source, tuple(tests), _digest(node, before))


def _prose(said: str) -> str:
    """A docstring without its examples."""
    try:
        parts = doctest.DocTestParser().parse(said)
    except ValueError:
        return ""
    text = "".join(p for p in parts if isinstance(p, str))
    return re.sub(r"\n\s*\n+", "\n\n", text).strip()


def _before(tree: ast.Module, given: Mapping[str, ast.stmt], node: ast.FunctionDef) -> str | None:
    """What of its file a function needs: imports of the standard library, constants, other functions, and what these
    need. None where it needs what cannot be taken along. ``given``: the file's names, each with what binds it."""
    needed, left = dict[int, ast.stmt](), sorted(_free(node))
    while left:
        name = left.pop()
        if name in vars(builtins) or name == node.name:
            continue
        if name not in given or not _taken_along(statement := given[name]):
            return None
        if id(statement) not in needed:
            needed[id(statement)] = statement
            left += sorted(_free(statement))
    lines = [ast.unparse(s) for s in tree.body if id(s) in needed]
    # what annotations name need not be there
    return "\n".join(["from __future__ import annotations", *lines]) if lines else ""


def _taken_along(statement: ast.stmt) -> bool:
    if isinstance(statement, ast.Import):
        return all(a.name.partition(".")[0] in sys.stdlib_module_names for a in statement.names)
    if isinstance(statement, ast.ImportFrom):
        return not statement.level and (statement.module or "").partition(".")[0] in sys.stdlib_module_names
    return True


def _free(node: ast.stmt) -> set[str]:
    """Names that a statement takes from around it, annotations left out: they are not run."""
    with unwarned():
        top = symtable.symtable(ast.unparse(_Bare().visit(copy.deepcopy(node))), "statement", "exec")
    tables = [top]
    for table in tables:
        tables += table.get_children()
    own = {s.get_name() for s in top.get_symbols() if s.is_assigned() or s.is_imported()}
    return {
        s.get_name() for t in tables for s in t.get_symbols() if s.is_referenced() and (t is top or s.is_global())
    } - own


class _Bare(ast.NodeTransformer):
    """Takes the annotations off: what they name need not be there."""

    def visit_arg(self, node: ast.arg) -> ast.arg:
        node.annotation = None
        return node

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        node.returns = None
        return self.generic_visit(node)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST:
        if node.value is None:
            return ast.Pass()
        return self.generic_visit(ast.copy_location(ast.Assign([node.target], node.value), node))


def _with_body(node: ast.FunctionDef, *body: ast.stmt) -> ast.FunctionDef:
    made = copy.deepcopy(node)
    made.body = list(body)
    return ast.fix_missing_locations(made)


def _plainly_annotated(node: ast.FunctionDef) -> ast.FunctionDef:
    """The function as it is where its annotations name what Python has built in; else without them."""
    arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs, node.args.vararg, node.args.kwarg]
    said = [*(a.annotation for a in arguments if a is not None), node.returns]
    names = {n.id for a in said if a is not None for n in ast.walk(a) if isinstance(n, ast.Name)}
    bare: ast.FunctionDef = node if names <= set(vars(builtins)) else _Bare().visit(copy.deepcopy(node))
    return bare


def _without_docstring(node: ast.FunctionDef) -> ast.FunctionDef:
    """The function without its docstring and without annotations, which may name what is not there."""
    first = node.body[0]
    documented = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and len(node.body) > 1
    bare: ast.FunctionDef = _Bare().visit(_with_body(node, *(node.body[1:] if documented else node.body)))
    return ast.fix_missing_locations(bare)


def _digest(node: ast.FunctionDef, before: str) -> str:
    return hashlib.sha256(f"{before}\n{ast.dump(_anonymous(node))}".encode("utf-8", "surrogatepass")).hexdigest()


def _anonymous(node: ast.FunctionDef) -> ast.FunctionDef:
    """What a function does under no name of its own."""
    made, called = _without_docstring(node), node.name
    for n in ast.walk(made):
        if isinstance(n, ast.Name) and n.id == called:
            n.id = "_"
    made.name = "_"
    return made
