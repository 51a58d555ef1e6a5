"""The tiny models of this folder, for tests that take the transformers engine."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from instar.engines.hf.engine import TransformersEngine
from tests.engines.architectures import KINDS, make_other
from tests.engines.asking import make
from tests.engines.tiny import make_model

REAL = (
    "test_n_samples_differ_and_the_same_seed_gives_them_again",
    "test_greedy_replies_do_not_depend_on_the_seed_and_n_are_n_copies",
    "test_a_reply_cut_at_max_tokens_says_so_and_a_finished_one_says_stop",
    "test_changed_weights_change_the_text",
    "test_after_unload_the_next_ask_is_answered_alike",
    "test_the_real_models_scores_are_those_of_transformers",
)
"""Of the contract of engines, what each landing asks of the real model too. The rest does not depend on the weights:
the tiny models answer for it each time, and the real one in ``make test-nightly``."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    contract = [i for i in items if isinstance(i, pytest.Function) and i.path.name == "test_contract.py"]
    for item in contract:
        if item.get_closest_marker("slow") and item.originalname not in REAL:
            item.add_marker(pytest.mark.nightly)


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
