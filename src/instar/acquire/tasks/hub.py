"""Tasks from a Hugging Face data set: one on the hub, at a revision that is recorded, or a folder of data files."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any, ClassVar

from instar.acquire.tasks.table import Named, Rows, cut, plain
from instar.errors import ConfigError, DataError

_TIMEOUT = 30.0
"""Seconds the hub has to say which revision is meant."""


class HfDataset(Named):
    """The splits of a data set: one ``split`` to be split again, or a split for each of train, dev, gate and sealed.

    ``dataset`` is an id on the hub (``openai/gsm8k``) or a local folder of Parquet, CSV or JSON Lines files;
    ``config`` its configuration, where it has several; ``revision`` a branch, tag or commit of the hub. Every task's
    source names the commit the hub resolved it to (for a folder: a hash of its files), so a run can be repeated on the
    same rows. Whole splits are downloaded and nothing is streamed: a set is dealt from all rows. Nothing in the data
    set is executed. Class labels stay the numbers they are stored as. Needs ``pip install "instar[data]"``.

    A hub that cannot be reached is an error even where its data is in the local cache: ``datasets`` would then take
    whatever revision it cached last. A run that is resumed has its tasks already and asks no hub.

    Raises:
        ConfigError: no split, or both kinds of split; datasets is not installed.
        DataError: a hub that cannot be reached; a data set, configuration, revision or split that is not there;
            data that cannot be read; and whatever is wrong with the rows.
    """

    name: ClassVar[str] = "hf_dataset"
    whole: ClassVar[str] = "split"
    noun: ClassVar[str] = "split"
    sample: ClassVar[str] = "SPLIT"

    dataset: str
    config: str | None = None
    revision: str | None = None
    split: str | None = None

    def _read(self, table: str) -> Rows:
        try:
            import datasets
        except ImportError:
            raise ConfigError(
                "hf_dataset needs datasets, which is not installed.", 'pip install "instar[data]"'
            ) from None
        datasets.disable_progress_bars()
        folder = Path(self.dataset).expanduser()
        revision, place = None, f"{self.dataset}, split {table!r}"
        if folder.is_dir():
            if self.revision is not None:
                raise DataError(f"{folder} is a folder and has no revision.", "Leave revision out.")
            source = f"hf_dataset/{folder.resolve().name}@files-{_hash_of_files(folder)}"
        elif self.dataset.startswith(("/", ".", "~")):
            raise DataError(f"There is no folder {folder}.", f"Relative paths are looked up from {Path.cwd()}.")
        else:
            revision = _resolved(self.dataset, self.revision)
            source = f"hf_dataset/{self.dataset}@{revision}"
        source += f"/{self.config}" if self.config else ""
        try:
            loaded = datasets.load_dataset(
                str(folder) if revision is None else self.dataset, self.config, split=table, revision=revision
            )
        except Exception as error:  # a dozen types, by cause and version; their words say which
            raise _refusal(self.dataset, table, error) from error
        names = self.dataset.rstrip("/").rpartition("/")[2]
        rows: list[tuple[int, dict[str, Any]]] = []
        # as stored: a decoded image would need a decoder, and could not be held by a record anyway
        for batch in loaded.with_format("arrow").iter(batch_size=1_000):
            for row in batch.to_pylist():
                rows.append((len(rows) + 1, {name: plain(value) for name, value in row.items()}))
        if not rows:
            raise DataError(f"{place} is empty.", "Choose another split.")
        return Rows(place, self.config or names, f"{source}/{table}", rows)


def _resolved(dataset: str, revision: str | None) -> str:
    """The commit that is meant. Raises DataError when the hub does not say."""
    from huggingface_hub import HfApi
    from huggingface_hub.errors import (
        GatedRepoError,
        HFValidationError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    api = HfApi()
    try:
        found = api.dataset_info(dataset, revision=revision, timeout=_TIMEOUT).sha
    except GatedRepoError:
        raise DataError(
            f"The data set {dataset!r} is gated: its owners decide who may read it.",
            "Ask for access on its page, then log in with: hf auth login",
        ) from None
    except RevisionNotFoundError:
        raise DataError(
            f"The data set {dataset!r} has no revision {revision!r}.", "Give a branch, a tag or a commit it has."
        ) from None
    except (RepositoryNotFoundError, HFValidationError):
        raise DataError(
            f"There is no data set {dataset!r} on {api.endpoint}, or you may not read it.",
            "Check its id (OWNER/NAME); a private one needs: hf auth login. A local folder needs a path that exists.",
        ) from None
    except Exception as error:  # no network, a proxy's page, a server's error, offline mode: each its own type
        raise _unreachable(dataset, error) from error
    if not found:
        raise DataError(f"{api.endpoint} does not say which commit of {dataset!r} it has.", "Try again later.")
    return found


def _refusal(dataset: str, split: str, error: Exception) -> DataError:
    """What ``load_dataset`` could not do, in a sentence."""
    said = cut(" ".join(str(error).split()), 300)
    kinds = {c.__name__ for c in type(error).__mro__}
    if kinds & {"ConnectionError", "TransportError", "HTTPError", "HfHubHTTPError", "TimeoutError"}:
        return _unreachable(dataset, error)
    if isinstance(error, ValueError) and "split" in said.lower():
        return DataError(f"{dataset} has no split {split!r}: {said}", "Set split, train, dev, gate or sealed to one.")
    if isinstance(error, ValueError) and "config" in said.lower():
        return DataError(f"{dataset} needs another configuration: {said}", "Set config to one of them.")
    return DataError(
        f"{dataset} cannot be loaded ({type(error).__name__}): {said}",
        "Data sets of Parquet, CSV or JSON Lines files can be used; scripts are never run.",
    )


def _unreachable(dataset: str, error: Exception) -> DataError:
    from huggingface_hub import constants

    said = cut(" ".join(str(error).split()), 200)
    return DataError(
        f"The hub at {constants.ENDPOINT} cannot be reached for {dataset!r} ({type(error).__name__}: {said})",
        "Check the network, HF_ENDPOINT and HF_HUB_OFFLINE; or download the data set where there is a network and give "
        "its folder, or use parquet, csv or jsonl.",
    )


def _hash_of_files(folder: Path) -> str:
    """Of names and bytes: the same files anywhere are the same data."""
    h = hashlib.sha256()
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        if any(part.startswith(".") for part in path.relative_to(folder).parts):
            continue  # .git, .cache and the like
        with path.open("rb") as data:
            h.update(
                f"{path.relative_to(folder).as_posix()}\0{hashlib.file_digest(data, 'sha256').hexdigest()}\n".encode()
            )
    return h.hexdigest()[:16]
