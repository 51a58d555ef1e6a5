"""The naming law: operators can be found by a name, names say what a thing is, and everything public says what it does.

A method may go without a docstring when its body is one statement, or when a base class or a protocol of instar
(Engine, UpdateContext ...) already documents it: a second copy of the same sentence would only grow stale.
"""

from __future__ import annotations

import ast
import importlib.util
import inspect
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from instar.protocols import SLOTS, Filter, Op, Solve
from tests.laws.source import PACKAGE, files, module_name, modules, tree

LONGEST = 600
"""Lines. A source file that wants more holds two nouns."""
EMPTY_WORDS = re.compile(r"(Manager|Helper|Utils?)s?$")
SHORT_NAME = re.compile(r"[a-z][a-z0-9_]{1,30}")

Function = ast.FunctionDef | ast.AsyncFunctionDef
Law = Callable[[Path], Iterator[str]]


def operators() -> list[type[Op]]:
    """Every concrete operator class of instar, found by importing everything."""
    modules()
    found: list[type[Op]] = []
    queue: list[type[Op]] = [Op]
    while queue:
        for cls in queue.pop().__subclasses__():
            if cls not in found:
                queue.append(cls)
                found.append(cls)
    ours = [c for c in found if c.__module__.startswith("instar.") and not inspect.isabstract(c)]
    return sorted(ours, key=lambda c: (c.__module__, c.__qualname__))


def none(found: Sequence[str]) -> None:
    """Show every sentence, not the first few, when there is one."""
    assert not found, "\n".join([f"{len(found)} against the law", *found])


def badly_named(ops: Sequence[type[Op]]) -> list[str]:
    """One sentence for every operator that a config file could not name, or could mistake for another.

    Names are unique over *all* slots: the registry is one table, and two operators of equal name, version and fields
    would have one id, whatever their slots.
    """
    found = []
    taken: dict[str, type[Op]] = {}
    for cls in ops:
        where = f"{cls.__module__}.{cls.__qualname__}"
        if not SHORT_NAME.fullmatch(cls.name):
            found.append(f"{where}: its name {cls.name!r} is not a short lower_case word")
        elif "name" not in vars(cls):
            found.append(f"{where}: takes its name {cls.name!r} from its base class: give it its own")
        if cls.name in taken:
            found.append(f"{where}: the name {cls.name!r} is taken by {taken[cls.name].__module__}")
        taken[cls.name] = cls
        base = SLOTS.get(cls.slot)
        if base is None or not issubclass(cls, base):
            found.append(f"{where}: slot {cls.slot!r} is not the slot of a base class it has ({', '.join(SLOTS)})")
        if not (inspect.getdoc(cls) or "").strip() or not (vars(cls).get("__doc__") or "").strip():
            found.append(f"{where}: has no docstring")
    return found


def test_every_operator_has_a_name_of_its_own_a_slot_and_a_docstring() -> None:
    none(badly_named(operators()))


def test_an_operator_without_name_slot_or_docstring_and_a_second_of_one_name_are_caught() -> None:
    class Nameless(Filter):
        """Has a docstring."""

    class Stray(Op):
        """No slot."""

        name = "stray"

    class Silent(Solve):
        name = "silent"

    class Again(Filter):
        """The same name in another slot."""

        name = "silent"

    class Good(Filter):
        """Fine."""

        name = "good"

    assert len(badly_named([Nameless])) == 1
    assert len(badly_named([Stray])) == 1
    assert len(badly_named([Silent])) == 1
    assert len(badly_named([Silent, Again])) == 2
    assert badly_named([Good]) == []


def test_every_operator_of_the_package_can_be_named_in_a_config() -> None:
    from instar.app.configs.registry import BUILT_IN

    known = set(BUILT_IN)
    # what app itself defines wraps a user's file, and is named by that file's path
    named = [c for c in operators() if not c.__module__.startswith("instar.app.")]
    none([f"{c.__module__}.{c.__qualname__}: add it to BUILT_IN" for c in named if c not in known])
    assert len(known) == len(BUILT_IN)


# --- what the source says ---------------------------------------------------------------------------------------------


def public(name: str) -> bool:
    return not name.startswith("_")


def promised() -> set[str]:
    """Names of methods that the protocols and slots of instar already document."""
    protocols = [node for path in (PACKAGE / "protocols").glob("*.py") for node in tree(path).body]
    return {f.name for c in protocols if isinstance(c, ast.ClassDef) for f in c.body if isinstance(f, Function)}


def undocumented(path: Path, known: set[str]) -> Iterator[str]:
    """One sentence for each public class, function and method of a file that does not say what it does."""
    module = tree(path)
    in_bases = {
        f.name
        for c in module.body
        if isinstance(c, ast.ClassDef)
        for f in c.body
        if isinstance(f, Function) and ast.get_docstring(f)
    }
    for node in module.body:
        if not isinstance(node, Function | ast.ClassDef) or not public(node.name):
            continue
        if not ast.get_docstring(node):
            yield f"{path.name}:{node.lineno}: {node.name} has no docstring"
        for method in node.body if isinstance(node, ast.ClassDef) else []:
            if not isinstance(method, Function) or not public(method.name) or ast.get_docstring(method):
                continue
            overloaded = any("overload" in ast.unparse(d) or "setter" in ast.unparse(d) for d in method.decorator_list)
            if len(method.body) > 1 and method.name not in known | in_bases and not overloaded:
                yield f"{path.name}:{method.lineno}: {node.name}.{method.name} has no docstring"


def unannotated(path: Path) -> Iterator[str]:
    """One sentence for each public function or method with an argument or a result that has no type."""
    for node in ast.walk(tree(path)):
        if not isinstance(node, Function) or not public(node.name):
            continue
        args = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
        args += [a for a in (node.args.vararg, node.args.kwarg) if a]
        bare = [a.arg for a in args if a.annotation is None and a.arg not in ("self", "cls")]
        if bare or node.returns is None:
            yield f"{path.name}:{node.lineno}: {node.name} has no type for {', '.join(bare) or 'its result'}"


def badly_introduced(path: Path) -> Iterator[str]:
    """Why a file does not introduce itself in the reader's words. A file without code need not."""
    text = path.read_text(encoding="utf-8")
    if not text.strip():
        return
    first = next(line for line in text.splitlines() if not line.startswith("#!"))
    doc = ast.get_docstring(tree(path)) or ""
    if not doc or not first.startswith('"""'):
        yield f"{path.name}: its first line is not a docstring"
    elif re.match(r"(this|the) (module|file)\b|module (for|that|with)\b", doc, re.IGNORECASE):
        yield f"{path.name}: begins with {doc[:24]!r}: say what it is in the reader's words"


def empty_words(path: Path) -> Iterator[str]:
    """Names that say nothing of what a thing is."""
    if re.fullmatch(r"(utils?|helpers?|common|misc)", path.stem):
        yield f"{path.name}: a file for anything"
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.ClassDef) and EMPTY_WORDS.search(node.name):
            yield f"{path.name}:{node.lineno}: {node.name}"


def too_long(path: Path) -> Iterator[str]:
    """Whether a file holds more lines than one noun should need."""
    n = len(path.read_text(encoding="utf-8").splitlines())
    if n > LONGEST:
        yield f"{path.name}: {n} lines; split it where it holds two nouns (at most {LONGEST})"


def of_all(law: Law) -> list[str]:
    return [f"{module_name(p)}: {sentence}" for p in files() for sentence in law(p)]


def test_every_module_introduces_itself_on_its_first_line() -> None:
    none(of_all(badly_introduced))


def test_everything_public_says_what_it_does() -> None:
    known = promised()
    none(of_all(lambda path: undocumented(path, known)))


def test_everything_public_has_types() -> None:
    none(of_all(unannotated))


def test_no_class_or_file_is_a_manager_a_helper_or_utils() -> None:
    none(of_all(empty_words))


def test_no_source_file_is_longer_than_one_noun_needs() -> None:
    none(of_all(too_long))


@pytest.mark.parametrize(
    ("law", "code"),
    [
        (badly_introduced, "import os\n"),
        (badly_introduced, '"""This module does things."""\n'),
        (badly_introduced, '# a comment first\n"""A ledger."""\n'),
        (unannotated, '"""A."""\ndef f(a) -> int:\n    """F."""\n'),
        (unannotated, '"""A."""\nclass A:\n    def f(self, *b: int):\n        """F."""\n'),
        (empty_words, '"""A."""\nclass RunManager: ...\n'),
        (empty_words, '"""A."""\nclass JsonUtils: ...\n'),
        (too_long, '"""A."""\n' + "x = 1\n" * LONGEST),
        (lambda p: undocumented(p, set()), '"""A."""\ndef f() -> None: ...\n'),
        (lambda p: undocumented(p, set()), '"""A."""\nclass A: ...\n'),
        (
            lambda p: undocumented(p, set()),
            '"""A."""\nclass A:\n    """A."""\n    def f(self) -> None:\n        x=1\n        y=2\n',
        ),
    ],
)
def test_each_law_of_the_source_catches_a_planted_violation(tmp_path: Path, law: Law, code: str) -> None:
    file = tmp_path / "planted.py"
    file.write_text(code)
    assert len(list(law(file))) == 1


def test_the_laws_of_the_source_let_good_code_pass(tmp_path: Path) -> None:
    file = tmp_path / "ledger.py"
    file.write_text(
        '"""An append-only ledger."""\n\nclass Ledger:\n    """What is written stays."""\n\n'
        "    def size(self) -> int:\n        return 0\n\n    def _inner(self, x):\n        y = x\n        return y\n"
    )
    laws: list[Law] = [badly_introduced, unannotated, empty_words, too_long, lambda p: undocumented(p, set())]
    for law in laws:
        assert list(law(file)) == []


def test_every_module_of_the_package_is_under_these_laws() -> None:
    assert {module_name(p) for p in files()} >= {"instar", "instar.records", "instar.protocols", "instar.errors"}
    assert importlib.util.find_spec("instar").submodule_search_locations == [str(PACKAGE)]  # type: ignore[union-attr]
