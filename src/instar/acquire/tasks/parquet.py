"""Tasks from your own Parquet files: one file that is split, or one file a set."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

from instar.acquire.tasks.table import Named, Rows, check_file, cut, no_file, plain
from instar.errors import ConfigError, DataError


class Parquet(Named):
    """One row a task; errors count rows from 1. Needs ``pip install "instar[data]"``.

    Dates and decimals become text, and bytes (an image, say) their size and hash: a task is plain data.

    Raises:
        ConfigError: no path, or both kinds of path; pyarrow is not installed.
        DataError: a file that is missing, not Parquet, damaged or empty; a missing column; a question or an answer
            that is null or of another type (with the row); too few distinct rows; or two files that share rows.
    """

    name: ClassVar[str] = "parquet"
    sample: ClassVar[str] = "FILE.parquet"

    path: str | None = None

    def _read(self, table: str) -> Rows:
        path = Path(table).expanduser()
        return Rows(str(path), path.stem, f"parquet/{path.name}", list(_rows(path)))


def _rows(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError:
        raise ConfigError("parquet needs pyarrow, which is not installed.", 'pip install "instar[data]"') from None
    check_file(path)
    if path.is_dir():
        raise DataError(f"{path} is a folder.", "Give the path of one Parquet file.")
    number = 0
    try:
        # opened here and not by pyarrow: its words for a missing file differ from version to version
        with path.open("rb") as data, pq.ParquetFile(data) as file:
            names = list(file.schema_arrow.names)
            twice = next((n for i, n in enumerate(names) if n in names[:i]), None)
            if twice is not None:
                raise DataError(f"{path}: two columns have the name {twice!r}.", "Rename one of them.")
            for batch in file.iter_batches(batch_size=1_000, use_threads=False):
                for row in _told(path, batch, number):
                    number += 1
                    yield number, {name: plain(value) for name, value in row.items()}
    except FileNotFoundError:
        raise no_file(path) from None
    except (pa.ArrowException, OSError) as error:  # a damaged page is an OSError
        said = cut(" ".join(str(error).split()))
        raise DataError(
            f"{path} is not a Parquet file, or a damaged one: {said}", "Write or download it again."
        ) from None
    if not number:
        raise DataError(f"{path} is empty.", "Write one row a task, with a question and an answer.")


def _told(path: Path, batch: Any, before: int) -> list[dict[str, Any]]:
    """A batch's rows. Raises DataError for a text that is not UTF-8, which Parquet files are not kept from holding."""
    try:
        rows: list[dict[str, Any]] = batch.to_pylist()
        return rows
    except UnicodeDecodeError:
        for name, column in zip(batch.schema.names, batch.columns, strict=True):
            for place, value in enumerate(column, start=before + 1):
                try:
                    value.as_py()
                except UnicodeDecodeError as error:
                    where = f"{path}, row {place}, column {name!r}"
                    why = f"it is not UTF-8 text ({error.reason} at byte {error.start})"
                    raise DataError(f"{where}: {why}.", "Mend this row.") from None
        raise
