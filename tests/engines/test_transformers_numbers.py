"""What the transformers engine computes: the same tokens and log-probabilities whoever shares the batch, as the model
alone and as another engine."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from instar.chat import ChatTokenizer
from instar.engines.hf.engine import TransformersEngine
from instar.records import Reply, Sampling
from tests.engines.architectures import KINDS
from tests.engines.asking import ask, asking, make, questions, reply_of
from tests.engines.tiny import EOS, FolderStore, make_model, policy_of, user

TOLERANCE = 1e-4
"""Nats a token: how far float32 log-probabilities may differ between two orders of summing (measured: below 1e-5)."""

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.mark.parametrize("kind", ["a", *KINDS])
def test_greedy_tokens_in_a_padded_batch_are_those_of_generate_on_one_prompt(
    root: Path, engine: TransformersEngine, kind: str
) -> None:
    import torch
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(root / kind, dtype=torch.float32)
    chat = ChatTokenizer.load(root / kind)

    async def all_at_once() -> list[list[Reply]]:
        return await asyncio.gather(
            *(asking(engine, policy_of(kind), q, temperature=0.0, max_tokens=20) for q in questions(8))
        )

    for question, [reply] in zip(questions(8), asyncio.run(all_at_once()), strict=True):
        prompt = chat.prompt_ids(user(question))
        with torch.no_grad():
            out = model.generate(
                torch.tensor([prompt]), attention_mask=torch.ones(1, len(prompt), dtype=torch.long),
                max_new_tokens=20, do_sample=False, eos_token_id=EOS, pad_token_id=0,
            )  # fmt: skip
        assert reply.token_ids == tuple(out[0, len(prompt) :].tolist())


@pytest.mark.parametrize("kind", ["a", "gpt_neox", "gemma2"])
def test_a_sample_does_not_depend_on_who_shares_the_batch(root: Path, engine: TransformersEngine, kind: str) -> None:
    alone = [ask(engine, policy_of(kind), q, n=3, seed=k, max_tokens=30) for k, q in enumerate(questions(12))]
    small = make(root, rows=5)

    async def crowd(e: TransformersEngine) -> list[list[Reply]]:
        return await asyncio.gather(
            *(asking(e, policy_of(kind), q, n=3, seed=k, max_tokens=30) for k, q in enumerate(questions(12)))
        )

    # rows of 5 make asks wait, join and leave all along; tiny models with wide weights have no near-ties
    assert asyncio.run(crowd(engine)) == alone
    assert asyncio.run(crowd(small)) == alone
    small.close()


def test_more_samples_than_rows_are_all_given_and_are_the_same_as_with_many_rows(
    root: Path, engine: TransformersEngine
) -> None:
    small = make(root, rows=8)
    replies = ask(small, policy_of("a"), n=50, max_tokens=10)
    assert len({r.token_ids for r in replies}) > 40
    assert ask(engine, policy_of("a"), n=50, max_tokens=10) == replies
    small.close()


def test_greedy_answers_and_log_probabilities_agree_with_openvino_in_float32(
    root: Path, engine: TransformersEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import numpy as np
    from safetensors.numpy import load_file, save_file

    from instar.engines.openvino import pipeline
    from instar.engines.openvino.engine import OpenVinoEngine

    make_model(root / "half", seed=3)
    rounded = {
        k: v.astype(np.float16).astype(np.float32) for k, v in load_file(root / "half" / "model.safetensors").items()
    }
    save_file(rounded, root / "half" / "model.safetensors")  # openvino's export rounds so: equal weights on both sides
    theirs: dict[tuple[int, ...], list[float]] = {}

    class Watched:
        """A request's handle that notes the log-probabilities openvino gives with its tokens."""

        def __init__(self, handle: Any) -> None:
            self._handle = handle

        def __getattr__(self, name: str) -> Any:
            return getattr(self._handle, name)

        def read_all(self) -> Any:
            outputs = self._handle.read_all()
            theirs.update({tuple(o.generated_ids): list(o.generated_log_probs) for o in outputs})
            return outputs

    original = pipeline.generation

    def with_logprobs(request: Any, stop_ids: tuple[int, ...]) -> Any:
        config = original(request, stop_ids)
        config.logprobs = 1
        return config

    add = pipeline.Pipeline._add

    def adding(self: pipeline.Pipeline, pipe: Any, request: Any, number: int) -> None:
        add(self, pipe, request, number)
        request.handle = Watched(request.handle)

    monkeypatch.setattr(pipeline, "generation", with_logprobs)
    monkeypatch.setattr(pipeline.Pipeline, "_add", adding)
    other = OpenVinoEngine(FolderStore(root), tmp_path, cache_gb=1)
    settings: dict[str, Any] = {"n": 1, "seed": 1, "precision": "f32"}
    sampling = Sampling(temperature=0.0, max_tokens=12)
    worst, compared = 0.0, 0
    for question in questions(8):
        [ours] = asyncio.run(engine.ask(policy_of("half"), user(question), sampling=sampling, **settings))
        [reply] = asyncio.run(other.ask(policy_of("half"), user(question), sampling=sampling, **settings))
        assert ours.token_ids == reply.token_ids
        assert ours.finish == reply.finish
        assert ours.token_ids is not None
        [mine] = asyncio.run(engine.score(policy_of("half"), user(question), [ours], precision="f32"))
        for a, b in zip(mine, theirs[ours.token_ids], strict=True):
            worst, compared = max(worst, abs(a - b)), compared + 1
    other.close()
    assert compared > 20
    print(f"largest difference of {compared} log-probabilities: {worst:.2e} nats")
    assert worst < TOLERANCE


@pytest.mark.parametrize("kind", ["a", *KINDS])
def test_log_probabilities_are_those_of_the_model_alone(root: Path, engine: TransformersEngine, kind: str) -> None:
    import torch
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(root / kind, dtype=torch.float32)
    chat = ChatTokenizer.load(root / kind)
    answers = [[9, 10, EOS], [11], [20, 3, 4, 5, EOS]]

    async def all_at_once() -> list[list[list[float]]]:
        return await asyncio.gather(
            *(
                engine.score(policy_of(kind), user(q), [reply_of(kind, a)], precision="f32")
                for q, a in zip(questions(3), answers, strict=True)
            )
        )

    for question, answer, [found] in zip(questions(3), answers, asyncio.run(all_at_once()), strict=True):
        prompt = chat.prompt_ids(user(question))
        with torch.no_grad():
            logits = model(torch.tensor([prompt + answer])).logits[0].log_softmax(-1)
        wanted = [float(logits[len(prompt) - 1 + i, token]) for i, token in enumerate(answer)]
        assert found == pytest.approx(wanted, abs=TOLERANCE)
