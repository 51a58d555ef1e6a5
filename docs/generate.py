"""The pages written from the code: ``docs/generate.py`` writes them, ``--check`` says what is stale.

``docs/reference`` is written whole. A page of ``docs/recipes`` is written down to the line ``BY_HAND``; what stands
below that line (the steps, what was measured, when not to use it) is a person's, and is kept.

Nothing here reads a clock, a set's order or the machine: the same code gives the same bytes.
"""

from __future__ import annotations

import argparse
import difflib
import enum
import importlib
import inspect
import pkgutil
import sys
import types
import typing
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo

DOCS = Path(__file__).parent
NOTE = "<!-- Written by docs/generate.py from the code: change the code, then run `make docs`. -->"
BY_HAND = "<!-- From here on by hand. Above, docs/generate.py writes from the code. -->"


# --- how things are written -------------------------------------------------------------------------------------------


def type_text(t: Any) -> str:
    """A type as a reader would write it: short names, ``|`` for unions, strings of a Literal in quotes."""
    origin, args = typing.get_origin(t), typing.get_args(t)
    if t is None or t is type(None):
        return "None"
    if origin in (typing.Union, types.UnionType):
        return " | ".join(type_text(a) for a in args)
    if origin is typing.Literal:
        return " | ".join(repr(a) for a in args)
    if origin is typing.Annotated:
        return type_text(args[0])
    if origin is not None and isinstance(args[0] if args else None, list):
        return f"{origin.__name__}[...]"
    if origin is not None:
        inner = ", ".join("..." if a is Ellipsis else type_text(a) for a in args)
        return f"{getattr(origin, '__name__', origin)}[{inner}]"
    return getattr(t, "__name__", None) or str(t).removeprefix("typing.")


def value_text(value: Any) -> str:
    """A default as it could be written down: an operator or record by its name and its non-default fields."""
    if isinstance(value, BaseModel):
        cls = type(value)
        # model_fields_set, not a comparison: what was written in the source is what the reader should see
        said = {k: getattr(value, k) for k in cls.model_fields if k in value.model_fields_set}
        name = getattr(value, "name", "") if "slot" in dir(cls) else ""
        return f"{name or cls.__name__}({', '.join(f'{k}={value_text(v)}' for k, v in said.items())})"
    if isinstance(value, enum.Enum):
        return repr(value.value)
    if isinstance(value, (set, frozenset)):
        return "{" + ", ".join(sorted(value_text(v) for v in value)) + "}"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{value_text(k)}: {value_text(v)}" for k, v in value.items()) + "}"
    if isinstance(value, tuple):
        return "(" + ", ".join(value_text(v) for v in value) + ("," if len(value) == 1 else "") + ")"
    if isinstance(value, list):
        return "[" + ", ".join(value_text(v) for v in value) + "]"
    if isinstance(value, Path):
        return repr(str(value).replace(str(Path.home()), "~"))
    if callable(value):
        return str(getattr(value, "__name__", type(value).__name__))
    text = repr(value)
    return text if " at 0x" not in text else f"{type(value).__name__}(...)"  # an address differs from run to run


def default_text(field: FieldInfo) -> str:
    """A field's default, or the word required."""
    if field.is_required():
        return "required"
    return f"`{value_text(field.get_default(call_default_factory=True))}`"


def bounds_text(field: FieldInfo) -> str:
    """What a field's value must satisfy beyond its type: ``>= 0``, ``<= 1``."""
    signs = {"ge": ">=", "gt": ">", "le": "<=", "lt": "<", "min_length": "length >=", "max_length": "length <="}
    return ", ".join(f"{s} {getattr(m, k)}" for m in field.metadata for k, s in signs.items() if hasattr(m, k))


def cell(text: str) -> str:
    """Text that can stand in one cell of a table."""
    return " ".join(text.split()).replace("|", "\\|")


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """A Markdown table."""
    lines = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    return [*lines, *(f"| {' | '.join(cell(c) for c in row)} |" for row in rows), ""]


def fields_table(model: type[BaseModel], skip: Sequence[str] = ()) -> list[str]:
    """The fields of a config or record: type with bounds, default, what it means."""
    rows = []
    for name, f in model.model_fields.items():
        if name in skip:
            continue
        bounds = bounds_text(f)
        kind = f"`{type_text(f.annotation)}`" + (f", {bounds}" if bounds else "")
        rows.append((f"`{name}`", kind, default_text(f), f.description or ""))
    if not rows:
        return ["No fields.", ""]
    head = ("field", "type", "default", "meaning")
    return table(head, rows) if any(r[3] for r in rows) else table(head[:3], [r[:3] for r in rows])


def doc(thing: Any) -> str:
    """The docstring of a thing itself, not of its base class."""
    own = vars(thing).get("__doc__") if inspect.isclass(thing) else getattr(thing, "__doc__", None)
    return as_markdown(inspect.cleandoc(own)) if own else ""


def as_markdown(text: str) -> str:
    """A docstring as Markdown: the indented entries under ``Raises:`` and the like become a list."""
    lines, inside = [], False
    for line in text.splitlines():
        if line in ("Raises:", "Args:", "Returns:", "Attributes:"):
            inside = True
            lines += [line, ""]
        elif inside and line.startswith("    "):
            lines.append(line[2:] if line[4:5] == " " else f"- {line[4:]}")
        else:
            inside = inside and not line.strip()
            lines.append(line)
    return "\n".join(lines)


def page(title: str, about: str, body: Iterable[str]) -> str:
    """A whole page: the note that it is generated, a title, one sentence, the body."""
    return "\n".join([NOTE, "", f"# {title}", "", about, "", *body]).rstrip() + "\n"


def present(module: str) -> types.ModuleType | None:
    """The module, or None if exactly this module does not exist. Any other failure to import it is raised."""
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as e:
        if e.name == module:
            return None
        raise


# --- the pages --------------------------------------------------------------------------------------------------------


def operators_page() -> str:
    """Every concrete operator of the package, by slot."""
    import instar
    from instar.protocols import SLOTS, Op

    for m in sorted(m.name for m in pkgutil.walk_packages(instar.__path__, prefix="instar.")):
        if not m.endswith(".__main__"):
            importlib.import_module(m)
    found: dict[type[Op], None] = {}
    queue: list[type[Op]] = [Op]
    while queue:
        for cls in queue.pop().__subclasses__():
            if cls not in found:
                found[cls] = None
                queue.append(cls)
    ours = [c for c in found if c.__module__.startswith("instar.") and not inspect.isabstract(c)]
    body = []
    for slot, base in SLOTS.items():
        here = sorted((c for c in ours if c.slot == slot), key=lambda c: c.name)
        if here:
            body += [f"## {slot}", "", *([doc(base), ""] if doc(base) else [])]
        for cls in here:
            scope = getattr(cls, "scope", None)  # a property where it is that of an inner filter
            scope = f", scope {scope}" if isinstance(scope, str) else ""
            body += [
                f"### `{cls.name}`",
                "",
                f"`{cls.__module__}.{cls.__qualname__}`, version {cls.version}{scope}",
                "",
            ]
            body += [doc(cls), "", *fields_table(cls)]
    return page("Operators", "What a config file can name: one phase of the loop each, by the slot it fills.", body)


def records_page() -> str:
    """Every record, then the values they hold."""
    import instar.records as records
    from instar.records import KINDS

    body = []
    for kind, cls in KINDS.items():
        body += [f"## {cls.__name__}", "", f"Kind `{kind}`. {doc(cls)}", "", *fields_table(cls, skip=("id",))]
    body += ["## Values inside records", ""]
    for value in vars(records).values():
        if (
            not inspect.isclass(value)
            or not value.__module__.startswith("instar.")
            or issubclass(value, records.Record)
        ):
            continue
        said = [doc(value), ""] if doc(value) else []
        if issubclass(value, BaseModel):
            body += [f"### {value.__name__}", "", *said, *fields_table(value)]
        elif issubclass(value, enum.Enum):
            words = ", ".join(f"`{m.value}`" for m in value)
            body += [f"### {value.__name__}", "", *said, f"One of {words}.", ""]
    about = "The nouns. Every record also has an `id`, and a `digest` of all its other fields."
    return page("Records", about, body)


def recipes_page() -> str | None:
    """Every built-in recipe with its paper and settings; None while there is no ``instar.recipes.recipe``."""
    if present("instar.recipes.recipe") is None:
        return None
    registry = importlib.import_module("instar.recipes").RECIPES
    body = []
    for name in sorted(registry):
        r = registry[name]
        title = getattr(r, "title", "")
        body += [f"## `{name}`", "", *([f"**{title}**", ""] if title else []), f"Paper: {r.paper or 'none'}", ""]
        # a recipe is a page: what it does and where it departs from its paper is told at the top of its module
        about = doc(sys.modules[r.function.__module__]) or doc(r.function)
        body += [about, "", *fields_table(r.config)]
    return page("Recipes", "What `instar run NAME` accepts. Any setting can be given with `--set key=value`.", body)


def commands_page() -> str | None:
    """Every command of the command line; None while there is no ``instar.cli.main``."""
    main = present("instar.cli.main")
    if main is None:
        return None
    from typer.main import get_command

    body: list[str] = []

    def write(command: Any, path: str) -> None:
        if getattr(command, "hidden", False):
            return
        inner = getattr(command, "commands", {})
        # what typer adds to every program (completion, help) is not this program's
        added = ("help", "install_completion", "show_completion")
        params = [p for p in command.params if not getattr(p, "hidden", False) and p.name not in added]
        if not inner or params:
            arguments = [p for p in params if p.param_type_name == "argument"]
            words = [word(p) if p.required else f"[{word(p)}]" for p in arguments]
            usage = " ".join([path, *words, *(["[OPTIONS]"] if len(words) < len(params) else [])])
            body.extend([f"## `{path}`", "", inspect.cleandoc(command.help or ""), "", f"    {usage}", ""])
        if params:
            rows = [(names(p), option_default(p), getattr(p, "help", None) or "") for p in params]
            body.extend(table(("argument or option", "default", "meaning"), rows))
        for name in sorted(inner):
            write(inner[name], f"{path} {name}")

    def word(param: Any) -> str:
        return str(param.metavar or param.name.upper())

    def names(param: Any) -> str:
        if param.param_type_name == "argument":
            return f"`{word(param)}`"
        return ", ".join(f"`{o}`" for o in [*param.opts, *param.secondary_opts])

    def option_default(param: Any) -> str:
        if param.required:
            return "required"
        if param.default is None or callable(param.default) or param.default == "" or "Sentinel" in repr(param.default):
            return ""
        return f"`{value_text(param.default)}`"

    write(get_command(main.app), "instar")
    return page("Commands", "Every command takes `--help`; every reading command takes `--json`.", body)


def paper_link(paper: str) -> str:
    """``arXiv 2312.06585`` as a link; anything else as it is."""
    number = paper.removeprefix("arXiv ")
    return f"[{paper}](https://arxiv.org/abs/{number})" if paper.startswith("arXiv ") else paper or "none"


def recipe_pages() -> dict[str, str]:
    """The generated part of every recipe's page, and of their index, by file."""
    if present("instar.recipes.recipe") is None:
        return {}
    registry = importlib.import_module("instar.recipes").RECIPES
    pages, rows = {}, []
    for name, r in sorted(registry.items()):
        settings = f"Its settings with their defaults: [reference](../reference/recipes.md#{name})."
        about = doc(sys.modules[r.function.__module__]) or doc(r.function)
        body = [about, "", BY_HAND]
        pages[f"{name}.md"] = page(f"{name}: {r.title}", f"Paper: {paper_link(r.paper)}. {settings}", body)
        rows.append((f"[`{name}`]({name}.md)", r.title, paper_link(r.paper)))
    about = "A page for each: the paper, the steps, what was measured here, and when not to use it."
    pages["README.md"] = page("Recipes", about, [*table(("recipe", "what it does", "paper"), rows), BY_HAND])
    return pages


def with_hand(generated: str, old: str | None) -> str:
    """A page whose generated part is this and whose hand-written part is the old page's."""
    return generated + (old or "").partition(f"{BY_HAND}\n")[2]


PAGES: dict[str, Callable[[], str | None]] = {
    "operators.md": operators_page,
    "recipes.md": recipes_page,
    "records.md": records_page,
    "commands.md": commands_page,
}


def main(argv: Sequence[str] | None = None) -> int:
    """Write the pages, or with ``--check`` compare them. Returns the shell's exit code."""
    parser = argparse.ArgumentParser(description="Write the pages that come from the code.")
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 naming the files that are stale")
    parser.add_argument("--out", type=Path, default=DOCS, help="the folder that holds reference/ and recipes/")
    args = parser.parse_args(argv)
    pages = {args.out / "reference" / name: text for name, make in PAGES.items() if (text := make()) is not None}
    pages |= {args.out / "recipes" / name: text for name, text in recipe_pages().items()}
    stale = False
    for file, text in pages.items():
        old = file.read_text(encoding="utf-8") if file.exists() else None
        text = with_hand(text, old) if BY_HAND in text else text
        if old == text:
            continue
        stale = True
        if args.check:
            what = "is missing" if old is None else "differs from the code"
            sys.stderr.write(f'{file} {what}: run "make docs"\n')
            diff = difflib.unified_diff((old or "").splitlines(), text.splitlines(), "on disk", "from code", "", "", 0)
            sys.stderr.write("".join(f"    {line}\n" for line in list(diff)[:12]) if old is not None else "")
        else:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")
            sys.stdout.write(f"wrote {file}\n")
    return 1 if args.check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
