"""The text of a user's Python file with that of the files beside it which it imports, found without running any.

What a check calls decides as much as the check itself: a run that is resumed after any of it was changed says so.
"""

from __future__ import annotations

import ast
import tokenize
from collections.abc import Iterator
from pathlib import Path

MOST = 200
"""Files that are looked at, at most: a folder may hold a whole library."""


def text_of(path: Path) -> str:
    """A Python file as Python itself reads it: by its byte order mark or its coding line. Raises OSError, SyntaxError
    and UnicodeDecodeError."""
    with tokenize.open(path) as file:
        return file.read()


def with_neighbours(path: Path) -> str:
    """The text of the file, then of those in its folder that it imports and that these import, by their names."""
    found: dict[Path, str] = {}
    waiting = [path]
    while waiting and len(found) < MOST:
        file = waiting.pop()
        if file in found:
            continue
        try:
            found[file] = text_of(file)
        except (OSError, SyntaxError, UnicodeDecodeError):
            if file == path:
                raise
            continue  # nothing that could be imported either
        waiting += _imported(found[file], path.parent, file.parent)
    return found.pop(path) + "".join(found[file] for file in sorted(found))


def _imported(text: str, root: Path, package: Path) -> Iterator[Path]:
    """Files under ``root`` that a text imports; relative names are looked up from ``package``."""
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (f for alias in node.names for f in _files(root, alias.name))
        elif isinstance(node, ast.ImportFrom):
            start = root if node.level == 0 else package.joinpath(*[".."] * (node.level - 1))
            if node.module:
                yield from _files(start, node.module)
            for alias in node.names:  # a name may be a module of a package
                yield from _files(start, f"{node.module}.{alias.name}" if node.module else alias.name)


def _files(start: Path, dotted: str) -> Iterator[Path]:
    """The files that the import of a dotted name runs: the packages on the way, and the module."""
    here = start
    for part in dotted.split(".") if len(dotted) < 200 else ():  # a longer name is that of no file
        here = here / part
        module = here.with_name(f"{part}.py")
        if (here / "__init__.py").is_file():
            yield (here / "__init__.py").resolve()
        elif module.is_file():
            yield module.resolve()
            return
        elif not here.is_dir():
            return
