"""Where the source under law lies, and how to read it: the files of ``src/instar``, as paths, names and trees."""

from __future__ import annotations

import ast
import importlib
import pkgutil
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "src" / "instar"


def files(package: Path = PACKAGE) -> list[Path]:
    """Every Python file of the package, in a stable order."""
    return sorted(p for p in package.rglob("*.py") if "__pycache__" not in p.parts)


def module_name(path: Path, package: Path = PACKAGE) -> str:
    """``.../instar/store/ledger.py`` is ``instar.store.ledger``; an ``__init__.py`` is its folder."""
    parts = [package.name, *path.relative_to(package).with_suffix("").parts]
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def tree(path: Path) -> ast.Module:
    """The file's syntax tree. A file that another hand is writing at this moment may be half there: say which."""
    try:
        return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))
    except SyntaxError as e:
        raise AssertionError(f"{path}: not valid Python: {e}") from e


def modules() -> list[ModuleType]:
    """Every module of instar, imported. ``__main__`` files are programs, not modules."""
    import instar

    found = pkgutil.walk_packages(instar.__path__, prefix="instar.")
    names = sorted(m.name for m in found if not m.name.endswith(".__main__"))
    return [instar, *(importlib.import_module(n) for n in names)]
