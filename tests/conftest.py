"""Tests with the marker ``cuda`` need a GPU: they are chosen where there is one, and by ``pytest -m cuda``."""

from __future__ import annotations

import pytest

from instar.engines.hf.model import gpu_driver


def _sees_a_gpu() -> bool:
    """Whether torch does: the pinned one is a CPU's."""
    if not gpu_driver():
        return False
    import torch

    return torch.cuda.is_available()


LONGEST = (
    "test_real_model.py", "test_wrong_inputs.py", "test_mend_and_go_on.py", "test_suites.py",
    "test_damaged_checkpoint.py", "test_adapters.py", "test_generate.py", "test_judged.py", "test_contract.py",
    "test_compare.py",
)  # fmt: skip
"""The files that begin, so that no worker waits for one of them at the end: each takes half a minute or more."""


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    items.sort(key=lambda i: LONGEST.index(i.path.name) if i.path.name in LONGEST else len(LONGEST))
    if _sees_a_gpu() or "cuda" in (config.option.markexpr or ""):
        return
    out = [i for i in items if i.get_closest_marker("cuda")]
    if out:
        config.hook.pytest_deselected(items=out)
        items[:] = [i for i in items if not i.get_closest_marker("cuda")]
