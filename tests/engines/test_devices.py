"""The transformers engine on a GPU: the same words at f32, and room for as many rows as a GPU is quick with."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from instar.engines.hf import engine as transformers
from instar.engines.hf import model
from instar.engines.hf.engine import CACHE_GB, ROWS, ROWS_ON_A_GPU, TransformersEngine
from instar.fingerprint import FILE
from instar.records import Sampling
from tests.devices import DEVICES
from tests.engines.asking import ask, make, questions, reply_of
from tests.engines.tiny import FolderStore, make_model, policy_of, user


@pytest.mark.parametrize("device", DEVICES)
def test_greedy_words_and_log_probabilities_are_those_of_a_cpu(tmp_path: Path, device: str) -> None:
    make_model(tmp_path / "a")
    plain, here = make(tmp_path), make(tmp_path, device=device)
    for text in questions(5):
        (expected,), (found,) = (ask(e, policy_of("a"), text, temperature=0) for e in (plain, here))
        assert found.token_ids == expected.token_ids
    reply = [reply_of("a", [3, 4, 9, 2])]
    one, other = (
        asyncio.run(e.score(policy_of("a"), user("what is 1 ?"), reply, precision="f32")) for e in (plain, here)
    )
    assert other[0] == pytest.approx(one[0], abs=1e-3)
    assert (tmp_path / "a" / FILE).is_file()  # a CPU made it, and both were compared with it
    plain.close()
    here.close()


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("precision", ["f32", "bf16"])
def test_many_samples_differ_and_a_batch_lets_rows_join_and_leave(tmp_path: Path, device: str, precision: str) -> None:
    make_model(tmp_path / "a")
    engine = make(tmp_path, device=device, rows=6)

    async def all_of_them() -> list[list[object]]:
        asked = [
            engine.ask(
                policy_of("a"),
                user(q),
                n=4,
                sampling=Sampling(temperature=1.0, max_tokens=12),
                seed=i,
                precision=precision,
            )
            for i, q in enumerate(questions(6))
        ]
        return [[r.token_ids for r in replies] for replies in await asyncio.gather(*asked)]

    found = asyncio.run(all_of_them())
    assert [len(f) for f in found] == [4] * 6
    assert len({r for f in found for r in f}) > 12
    engine.close()


@pytest.mark.parametrize("there", [True, False])
def test_a_gpu_takes_more_rows_and_a_share_of_its_own_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, there: bool
) -> None:
    import torch

    monkeypatch.setattr(transformers, "gpu_driver", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: there)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda: (40 * 2**30, 80 * 2**30))
    store = FolderStore(tmp_path)
    limits = TransformersEngine(store)._limits
    assert (limits.rows, limits.cache_gb) == ((ROWS_ON_A_GPU, 12.0) if there else (ROWS, CACHE_GB))
    assert TransformersEngine(store, rows=5, cache_gb=1.5)._limits.rows == 5
    assert TransformersEngine(store, device="cpu")._limits.rows == ROWS
    assert TransformersEngine(store).concurrency == 2 * (ROWS_ON_A_GPU if there else ROWS)


def test_a_gpu_samples_in_the_type_that_it_multiplies(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    for able, precision in ((True, "bf16"), (False, "f32")):
        monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda able=able: able)
        assert model.sampling_precision("cuda") == precision
