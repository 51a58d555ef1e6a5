"""Replies that are told while they are written: the pieces are the reply, on every engine that offers it."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from instar.engines.scheduler.detokenizer import Detokenizer
from instar.protocols import Streams
from instar.records import Policy, Reply, Sampling
from tests.engines.tiny import FolderStore, make_model, policy_of, user


class Bytes:
    """Decodes ids as UTF-8 bytes, as byte-level tokenizers do."""

    def text(self, ids: list[int]) -> str:
        return bytes(ids).decode("utf-8", "replace")


def test_a_character_is_not_told_before_all_its_bytes_are_there() -> None:
    heard: list[str] = []
    telling = Detokenizer(heard.append)
    ids = list("a€b".encode())
    for n in range(1, len(ids) + 1):
        telling.to(Bytes(), ids[:n])  # type: ignore[arg-type]
    telling.end("a€b.")
    assert heard == ["a", "€", "b", "."]


async def heard_of(engine: Streams, policy: Policy, text: str, temperature: float) -> tuple[list[str], Reply, Reply]:
    heard: list[str] = []
    sampling = Sampling(temperature=temperature, max_tokens=20)
    reply = await engine.stream(policy, user(text), sampling=sampling, seed=1, precision="f32", on_token=heard.append)
    (asked,) = await engine.ask(  # type: ignore[attr-defined]
        policy, user(text), n=1, sampling=sampling, seed=1, precision="f32"
    )
    return heard, reply, asked


@pytest.mark.slow
@pytest.mark.parametrize("temperature", [0.0, 1.0])
@pytest.mark.parametrize("name", ["openvino", "transformers", "native"])
def test_the_pieces_of_a_real_engine_are_the_reply_that_it_gives_when_asked(
    tmp_path: Path, name: str, temperature: float
) -> None:
    make_model(tmp_path / "a", seed=0)
    if name == "openvino":
        from instar.engines.openvino.engine import OpenVinoEngine

        engine = OpenVinoEngine(FolderStore(tmp_path), tmp_path / "scratch", cache_gb=1, sample_precision="int8")
    elif name == "native":
        from instar.engines.native import build
        from instar.engines.native.engine import NativeEngine

        if missing := build.why_not():
            pytest.skip(missing)
        engine = NativeEngine(FolderStore(tmp_path), cache_gb=0.1)  # type: ignore[assignment]
    else:
        from instar.engines.hf.engine import TransformersEngine

        engine = TransformersEngine(FolderStore(tmp_path), tmp_path / "scratch")  # type: ignore[assignment]
    try:
        assert isinstance(engine, Streams)
        told = [asyncio.run(heard_of(engine, policy_of("a"), f"what is {k} 2 ?", temperature)) for k in range(6)]
    finally:
        engine.close()
    for heard, reply, asked in told:
        assert "".join(heard) == reply.text
        assert reply == asked
    assert max(len(heard) for heard, _, _ in told) > 3, "nothing was told in pieces"
