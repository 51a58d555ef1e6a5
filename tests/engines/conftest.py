"""The tiny models of this folder, for tests that take the transformers engine."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from instar.engines.transformers import TransformersEngine
from tests.engines.architectures import KINDS, make_other
from tests.engines.asking import make
from tests.engines.tiny import make_model


@pytest.fixture(scope="module")
def one_thread() -> Iterator[None]:
    """Threads that wait for each other cost more than tiny layers, above all on a busy machine."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    make_model(folder / "a", seed=0)
    make_model(folder / "b", seed=1)
    for kind in KINDS:
        make_other(folder / kind, kind)
    return folder


@pytest.fixture
def engine(root: Path) -> Iterator[TransformersEngine]:
    made = make(root)
    yield made
    made.close()
