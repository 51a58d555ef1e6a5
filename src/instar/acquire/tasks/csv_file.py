"""Tasks from your own CSV or TSV files: one file that is split, or one file a set."""

from __future__ import annotations

import codecs
import csv
import io
from pathlib import Path
from typing import Any, ClassVar

from pydantic import Field, field_validator

from instar.acquire.tasks.table import Named, Rows, cut, no_file
from instar.errors import ConfigError, DataError


class Csv(Named):
    """A header line, then one row a line; every value is a text and an empty cell is no value.

    ``delimiter`` is one character (a tab for TSV). ``encoding`` is the file's; a byte order mark is taken off UTF-8.
    Quoted cells may hold line breaks; errors name the line on which the row begins.

    Raises:
        ConfigError: no path, or both kinds of path; an unknown encoding.
        DataError: a file that is missing, empty, in another encoding, or malformed (with the line): a row with more or
            fewer cells than the header, a quote that is not closed, an empty question or answer; or too few rows.
    """

    name: ClassVar[str] = "csv"
    sample: ClassVar[str] = "FILE.csv"

    path: str | None = None
    delimiter: str = Field(default=",", min_length=1, max_length=1)
    encoding: str = "utf-8"

    @field_validator("encoding")
    @classmethod
    def _known(cls, value: str) -> str:
        try:
            "".encode(value)
        except LookupError:
            raise ConfigError(
                f"There is no text encoding {value!r}.", "Common ones are utf-8, utf-16, latin-1 and cp1252."
            ) from None
        return value

    @field_validator("delimiter")
    @classmethod
    def _delimits(cls, value: str) -> str:
        if value in '"\r\n':
            raise ConfigError(f"{value!r} cannot delimit cells.", "Use a comma, a semicolon, a tab or a bar.")
        return value

    def _read(self, table: str) -> Rows:
        path = Path(table).expanduser()
        return Rows(str(path), path.stem, f"csv/{path.name}", self._rows(path, self._text(path)), "line")

    def _text(self, path: Path) -> str:
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            raise no_file(path) from None
        except OSError as error:
            raise DataError(f"{path} cannot be read: {error.strerror}.", "Give the path of a CSV file.") from error
        utf8 = codecs.lookup(self.encoding).name == "utf-8"
        try:
            return data.decode("utf-8-sig" if utf8 else self.encoding)
        except UnicodeDecodeError as error:
            line = data[: error.start].decode(self.encoding, "replace").count("\n") + 1
            raise DataError(
                f"{path}, line {line} is not {self.encoding} text ({error.reason} at byte {error.start} of the file).",
                "Set encoding to the file's own (latin-1 or cp1252 are common), or save it as UTF-8.",
            ) from None
        except UnicodeError as error:  # what utf-16 says of a file without a byte order mark
            raise DataError(
                f"{path} is not {self.encoding} text: {error}.", "Set encoding to the file's own."
            ) from None

    def _rows(self, path: Path, text: str) -> list[tuple[int, dict[str, Any]]]:
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=self.delimiter, strict=True)
        rows: list[tuple[int, dict[str, Any]]] = []
        header: list[str] | None = None
        line = 1
        try:
            for cells in reader:
                begins, line = line, reader.line_num + 1
                if not cells:
                    continue  # an empty line
                if header is None:
                    header = self._header(path, cells)
                    continue
                if len(cells) != len(header):
                    raise DataError(
                        f"{path}, line {begins} has {len(cells)} cells, but the header has {len(header)}: "
                        f"{cut(self.delimiter.join(cells))}",
                        f"Put cells that hold {self.delimiter!r} in double quotes, or set delimiter to the file's own.",
                    )
                rows.append((begins, {k: v if v.strip() else None for k, v in zip(header, cells, strict=True)}))
        except csv.Error as error:
            raise DataError(
                f"{path}, line {line} is not CSV: {error}.", "Close its quotes; a quote in a cell is written twice."
            ) from None
        if header is None:
            raise DataError(f"{path} is empty.", "Write a header line, then one row a line.")
        if not rows:
            raise DataError(f"{path} is empty but for its header.", "Write one row a line below it.")
        return rows

    def _header(self, path: Path, cells: list[str]) -> list[str]:
        names = [c.strip() for c in cells]
        twice = next((n for i, n in enumerate(names) if n in names[:i]), None)
        if twice is not None:
            raise DataError(f"{path}: two columns have the name {twice!r}.", "Rename one of them in the header.")
        if self.question not in names:
            other = next((d for d in ",;\t|" if d != self.delimiter and d in cells[0]), None)
            raise DataError(
                f"{path}: no column {self.question!r}.",
                f"The columns are: {', '.join(names)}. "
                + (f"Is the delimiter {other!r}?" if other else "Set question and answer to the ones to use."),
            )
        return names
