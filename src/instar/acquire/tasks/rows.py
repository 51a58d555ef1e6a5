"""Tasks from a file as people have it: JSONL, a JSON array, CSV, TSV or Parquet, in any of the usual layouts."""

from __future__ import annotations

import bz2
import csv
import gzip
import inspect
import io
import json
import lzma
import re
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from pydantic import Field

from instar.acquire.tasks import asking, cells, layouts, marks, nested, options, spelled, turns
from instar.acquire.tasks.asking import Asked, asked
from instar.acquire.tasks.canonical import canonical
from instar.acquire.tasks.encodings import as_text
from instar.acquire.tasks.jsonl import _no_constant
from instar.acquire.tasks.layouts import Form, Layout
from instar.acquire.tasks.nested import part
from instar.acquire.tasks.options import NotSo
from instar.acquire.tasks.parquet import _rows as parquet_rows
from instar.acquire.tasks.table import (
    BEGINNING,
    Table,
    Twice,
    check_file,
    cut,
    no_file,
    once,
    refuse_stand_in,
    saved_by_datasets,
)
from instar.acquire.tasks.table import Rows as TableRows
from instar.errors import DataError
from instar.legible import as_python, python_command
from instar.records import Message, Role, Task

_PACKED: dict[bytes, Callable[[bytes], bytes]] = {
    b"\x1f\x8b": gzip.decompress, b"BZh": bz2.decompress, b"\xfd7zXZ\x00": lzma.decompress,
}  # fmt: skip
_PACKED_AS = (".gz", ".bz2", ".xz")
_BLANKS = re.compile(r"\s*")
_TURNS = "the turns before it"
"""The key, in a row on its way to a task, of a conversation that it goes on. A column of this name is renamed."""
_GOLDS = "the answers that count"
"""The same for all answers where there are several: the column that they stand in may itself be called answers."""


class AnyRows(Table):
    """Either ``path``, shuffled by the sets' seeds and split, or one path a set. Name and first bytes say what a file
    is.

    ``layout``: ``columns`` (``question`` and ``answer`` name them), ``alpaca``, ``sharegpt``, ``messages``, ``verl``,
    ``choices`` (the options in the column ``choices``, or, where that is "", in columns of their own, or in the columns
    sol1, sol2, ..., where it is "sol*"; where it is "+wrong*", the right one is the answer and the others are in
    wrong1, wrong2, ...; the model is asked for a letter). ``mark`` is what the result of a worked
    answer stands after ("####"; "boxed"; "any": any mark that is known; "number": it ends with it). ``context`` is a
    column that is put before the question, ``system`` one whose text is the system's. ``first`` is the number of the
    first option; ``mixed`` puts the options of each row in an order of their own, for files in which the right one
    always stands at one place.
    ``labels`` are the names of the answers 0, 1, 2, ... (from ``first`` on); rows with an answer of ``without`` are
    left out ("-1", say, where nobody gave a label).

    A name with dots leads into a nested column ("answer.value"); a context "COLUMN.*" is all the text in one.

    A list of answers means that any of them is right: private data then has all as ``answers``. True and false are
    "yes" and "no". Every other column goes to the private data under its own name.

    Raises:
        ConfigError: no path, or both kinds of path.
        DataError: a file that is missing, empty or malformed, or a row that is not of the layout (with its number); or
            too few distinct rows.
    """

    name: ClassVar[str] = "rows"

    path: str | None = None
    layout: Layout = "columns"
    choices: str = "choices"
    mark: str = ""
    context: str = ""
    first: int = Field(default=0, ge=0, le=1)
    system: str = ""
    labels: tuple[str, ...] = ()
    without: tuple[str, ...] = ()
    mixed: bool = False

    late: ClassVar[frozenset[str]] = frozenset({"system", "labels", "without", "mixed"})

    def own_source(self) -> str:
        read_with = (layouts, asking, nested, options, cells, spelled, marks, turns)
        return super().own_source() + "".join(map(inspect.getsource, read_with))

    @property
    def form(self) -> Form:
        """How its rows are read."""
        return Form(
            self.layout, self.question, self.answer, self.choices, self.mark, self.context, self.first, self.system,
            self.labels, self.without, self.mixed,
        )  # fmt: skip

    def _read(self, table: str) -> TableRows:
        path = Path(table).expanduser()
        unit, rows = read_rows(path)
        made: list[tuple[int, Mapping[str, Any]]] = []
        for number, row in rows:
            if left_out(row, self.form):
                continue
            try:
                made.append((number, self._flat(asked(row, self.form))))
            except NotSo as e:
                raise DataError(f"{path}, {unit} {number}: {e}.", f"Mend this {unit}.") from None
        return TableRows(str(path), path.stem, f"rows/{path.name}", made, unit)

    def _flat(self, one: Asked) -> dict[str, Any]:
        """A row with one question and one answer, as every table has them."""
        more: dict[str, Any] = {_GOLDS: list(one.golds)} if len(one.golds) > 1 else {}
        taken = (self.question, self.answer, "answer", *(["answers"] if more else []), _TURNS, _GOLDS)
        others = {f"{k}_" if k in taken else k: v for k, v in one.others.items()}
        turns = {_TURNS: [list(t) for t in one.before]} if one.before else {}
        return {**others, **more, **turns, self.question: one.question, self.answer: one.golds[0]}

    def _task(self, table: TableRows, number: int, row: Mapping[str, Any], seen: dict[str, int]) -> Task:
        turns, golds = row.get(_TURNS, ()), row.get(_GOLDS)
        task = super()._task(table, number, {k: v for k, v in row.items() if k not in (_TURNS, _GOLDS)}, seen)
        if golds:
            task = task.model_copy(update={"private": {**task.private, "answers": golds}})
        if not turns:
            return task
        before = tuple(Message(role=Role(role), content=text) for role, text in turns)
        whole = "\n".join(m.content for m in (*before, *task.messages) if m.role is not Role.system)
        return task.model_copy(update={"messages": (*before, *task.messages), "canonical": canonical(whole)})


def left_out(row: Mapping[str, Any], form: Form) -> bool:
    """Whether a row's answer is one of those that mean that nobody gave any."""
    return bool(form.without) and str(part(row, form.answer)).strip().removesuffix(".0") in form.without


# --- files ----------------------------------------------------------------------------------------------------------


def read_rows(path: Path) -> tuple[str, list[tuple[int, dict[str, Any]]]]:
    """What a row of this file is called, and every row with its number. Raises DataError at the first that is none."""
    unit, found = rows_of(path)
    rows: list[tuple[int, dict[str, Any]]] = []
    for number, row in found:
        if isinstance(row, str):
            raise DataError(f"{path}, {unit} {number}{row}.", f"Mend this {unit}.")
        rows.append((number, row))
    if not rows:
        raise DataError(f"{path} is empty.", "Give one row a task, with a question and an answer.")
    return unit, rows


def rows_of(path: Path) -> tuple[str, Iterator[tuple[int, dict[str, Any] | str]]]:
    """As ``read_rows``, but a row that cannot be read is a text that says why: the reader goes on after it."""
    check_file(path)
    path, data = _unpacked(path, _bytes(path))
    refuse_stand_in(path, data[:BEGINNING])
    if data[:4] == b"PAR1":
        return "row", iter(list(parquet_rows(path)))
    text = as_text(path, data)
    start = text.lstrip()[:1]
    if path.suffix.casefold() not in (".csv", ".tsv", ".tab", ".jsonl", ".ndjson"):
        if start == "[":
            return "element", _array(path, text)
        if start == "{" and (inner := _one_object(path, text)) is not None:
            return "element", iter(inner)
        if start == "{":
            return _objects_of(text)
    if path.suffix.casefold() in (".jsonl", ".ndjson") or start == "{":
        return ("element", _array(path, text)) if _is_array(text) else _objects_of(text)
    return "line", _cells(path, text)


def label_names(path: Path) -> dict[str, tuple[str, ...]]:
    """What the numbers in a column of labels are called, by column: ``datasets`` keeps it in a Parquet schema."""
    with path.expanduser().open("rb") as data:
        if data.read(4) != b"PAR1":
            return {}
    try:
        import pyarrow.parquet as pq

        kept = (pq.read_schema(path).metadata or {}).get(b"huggingface", b"{}")
        features = json.loads(kept)["info"]["features"]
        named = {c: f["names"] for c, f in features.items() if isinstance(f, dict) and f.get("_type") == "ClassLabel"}
        return {c: tuple(map(str, names)) for c, names in named.items() if isinstance(names, list) and names}
    except (ImportError, OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return {}  # the numbers then stay what they are


def _bytes(path: Path) -> bytes:
    if path.is_dir():
        inside = sorted(str(p.relative_to(path)) for p in path.glob("**/*") if p.is_file())
        saved = {"state.json", "dataset_dict.json"} & set(inside)
        inside = inside[:5]
        mend = saved_by_datasets(path) if saved else f"Give one of the files in it: {', '.join(inside)}."
        raise DataError(f"{path} is a folder.", mend)
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise no_file(path) from None
    except OSError as e:
        raise DataError(f"{path} cannot be read: {e.strerror}.", "Give the path of a file with rows.") from None


def _unpacked(path: Path, data: bytes) -> tuple[Path, bytes]:
    """What a packed file holds, and what it would be called; another file as it is."""
    for magic, unpack in _PACKED.items():
        if data.startswith(magic):
            try:
                return path.with_suffix("") if path.suffix.casefold() in _PACKED_AS else path, unpack(data)
            except (OSError, EOFError, ValueError, zlib.error, lzma.LZMAError) as e:
                raise DataError(f"{path} cannot be unpacked: {e}.", "Download or pack it again.") from None
    return path, data


def _is_array(text: str) -> bool:
    """Whether a file that is called .jsonl is one array over many lines."""
    first = text.lstrip().partition("\n")[0].strip()
    return first == "[" or re.match(r"\[\s*\{", first) is not None


def _array(path: Path, text: str) -> Iterator[tuple[int, dict[str, Any] | str]]:
    try:
        values = json.loads(text, parse_constant=_no_constant, object_pairs_hook=once)
    except Twice as e:
        raise DataError(f"{path}: {e}.", "Mend the file.") from None
    except (ValueError, RecursionError) as e:
        raise DataError(f"{path} is not JSON ({e}).", "Mend the file.") from None
    yield from _objects(values)


def _objects(values: Sequence[Any]) -> Iterator[tuple[int, dict[str, Any] | str]]:
    for number, value in enumerate(values, start=1):
        yield number, value if isinstance(value, dict) else f" is not a JSON object: {cut(repr(value))}"


def _one_object(path: Path, text: str) -> list[tuple[int, dict[str, Any] | str]] | None:
    """The rows of a file that is one object: under its one key that holds a list of objects, or of columns' lists; None
    for what is no such file. Raises DataError where several keys hold one."""
    try:
        value = json.loads(text, parse_constant=_no_constant, object_pairs_hook=once)
    except (ValueError, RecursionError):
        return None
    lists = {k: v for k, v in value.items() if isinstance(v, list) and v}
    tables = [v for v in lists.values() if all(isinstance(x, dict) for x in v)]
    if len(tables) == 1:
        return list(_objects(tables[0]))
    if len(tables) > 1:
        names = [k for k, v in lists.items() if v in tables]
        most = max(names, key=lambda k: len(lists[k]))  # beside a few examples, say, or what the columns are
        into = (re.sub(r"[^\w-]+", "_", most).strip("_-")[:60] or "rows") + ".json"
        write = (
            f"import json; json.dump(json.load(open({as_python(str(path))}))[{as_python(most)}], "
            f"open({as_python(into)}, 'w'))"
        )
        raise DataError(f"{path} holds several tables: {', '.join(names)}.", f"Take one out: {python_command(write)}")
    if len(lists) == len(value) > 1 and len({len(v) for v in lists.values()}) == 1:
        return list(_objects([dict(zip(lists, cells, strict=True)) for cells in zip(*lists.values(), strict=True)]))
    maps = [v for v in value.values() if isinstance(v, dict)]
    if len(maps) == len(value) > 1 and len({tuple(m) for m in maps}) == 1:  # pandas: by column, or by row
        if all(k.isdigit() for k in maps[0]):
            return list(_objects([{c: value[c][i] for c in value} for i in maps[0]]))
        return list(_objects(maps))
    return None


def _objects_of(text: str) -> tuple[str, Iterator[tuple[int, dict[str, Any] | str]]]:
    """One object a line, or, where the first goes over several, one after the other."""
    if text.lstrip().partition("\n")[0].strip() == "{":
        return "object on line", _spread(text)
    return "line", _lines(text)


def _lines(text: str) -> Iterator[tuple[int, dict[str, Any] | str]]:
    for number, line in enumerate(text.split("\n"), start=1):  # str.splitlines also breaks at what a text may hold
        if not line.strip():
            continue
        try:
            value = json.loads(line, parse_constant=_no_constant, object_pairs_hook=once)
        except Twice as e:
            yield number, f": {e}"
            continue
        except (ValueError, RecursionError) as e:
            yield number, f" is not JSON ({e})"
            continue
        yield number, value if isinstance(value, dict) else " is not a JSON object"


def _end_of_blanks(text: str, at: int) -> int:
    found = _BLANKS.match(text, at)
    return at if found is None else found.end()


def _spread(text: str) -> Iterator[tuple[int, dict[str, Any] | str]]:
    """Objects over several lines each, one after the other; a row is known by the line that it begins on."""
    decoder = json.JSONDecoder(parse_constant=_no_constant, object_pairs_hook=once)
    at, line, seen = 0, 1, 0
    while (at := _end_of_blanks(text, at)) < len(text):
        line, seen = line + text.count("\n", seen, at), at
        try:
            value, at = decoder.raw_decode(text, at)
        except (ValueError, RecursionError) as e:
            yield line, f" begins no JSON object ({e})"
            return
        yield line, value if isinstance(value, dict) else " is not a JSON object"


def _cells(path: Path, text: str) -> Iterator[tuple[int, dict[str, Any] | str]]:
    told = re.match(r"\s*sep=(.)\r?\n", text)  # Excel's own first line
    text, before = (text[told.end() :], 1) if told else (text, 0)
    head = text.lstrip("\n\r").partition("\n")[0]
    if not head.strip():
        raise DataError(f"{path} is empty.", "Write a header line, then one row a line.")
    delimiter = (
        told[1] if told else "\t" if path.suffix.casefold() in (".tsv", ".tab") else max(",\t;|", key=head.count)
    )
    if delimiter not in head:
        raise DataError(
            f"{path} has one column, {cut(head.strip())!r}: neither a table of cells nor lines of JSON.",
            "Give a file with a question and an answer in each row.",
        )
    lines = io.StringIO(text, newline="")
    reader = csv.reader(lines, delimiter=delimiter)
    if delimiter == "\t" and _unquoted(text, head.count(delimiter)):
        reader = csv.reader(lines, delimiter=delimiter, quoting=csv.QUOTE_NONE)
    marked_down = ruled = delimiter == "|" and _is_markdown(text)
    if marked_down:
        reader = csv.reader(lines, delimiter=delimiter, quoting=csv.QUOTE_NONE)
    opens, closes = head.strip().startswith("|"), head.strip().endswith("|")
    names: list[str] | None = None
    line = 1 + before
    try:
        for cells in reader:
            begins, line = line, reader.line_num + 1 + before
            if not any(c.strip() for c in cells):
                continue
            if marked_down:
                cells = [c.strip() for c in cells[opens : len(cells) - closes]]
            if ruled and names is not None:
                ruled = False
                continue
            if names is None:
                names = [c.strip() or f"column {i}" for i, c in enumerate(cells, 1)]
                if twice := next((n for i, n in enumerate(names) if n in names[:i]), None):
                    raise DataError(
                        f"{path}: two columns have the name {twice!r}.", "Rename one of them in the header."
                    )
            elif delimiter == "\t" and any(_swallowed(c, len(names) - 1 - i) for i, c in enumerate(cells)):
                yield begins, " has a cell with whole lines of the file in it: its quote is not closed"
            elif len(cells) != len(names):
                mend = f": a text that holds {delimiter!r} wants double quotes around it" if delimiter in ",;" else ""
                yield begins, f" has {len(cells)} cells, but the header has {len(names)}{mend}"
            else:
                yield begins, {k: v if v.strip() else None for k, v in zip(names, cells, strict=True)}
    except csv.Error as e:
        raise DataError(
            f"{path}, line {line} is not CSV: {e}.", "Close its quotes; a quote in a cell is written twice."
        ) from None


def _is_markdown(text: str) -> bool:
    """Whether a table is one of Markdown: the line below its names holds rules alone, "|---|:---:|"."""
    below = text.lstrip().partition("\n")[2].partition("\n")[0].strip()
    return "|" in below and all(re.fullmatch(r":?-+:?", cell.strip()) for cell in below.strip("|").split("|"))


def _unquoted(text: str, tabs: int) -> bool:
    """Whether quotes are plain characters in a TSV (GLUE's): read as quotes they join lines, and yet each line by
    itself has as many cells as the header. A cell that really holds a line break leaves lines with fewer."""
    lines = [line for line in re.split(r"\r\n|\n|\r", text) if line.strip()]
    if any(line.count("\t") != tabs for line in lines):
        return False
    try:
        rows = sum(any(map(str.strip, cells)) for cells in csv.reader(io.StringIO(text, newline=""), delimiter="\t"))
        return rows < len(lines)
    except csv.Error:  # one cell of everything up to the next quote
        return True


def _swallowed(cell: str, after: int) -> bool:
    """Whether a quoted cell of a TSV holds lines of the file. ``after``: how many cells follow it in its row."""
    first, *inner = re.split(r"\r\n|\n|\r", cell)
    return bool(inner) and after > 0 and first.count("\t") == after
