"""What the native engine promises beyond the contract: its numbers, the same reply in any company, and its pages."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections import Counter
from collections.abc import Coroutine, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from instar.chat import ChatTokenizer
from instar.engines.native import build
from instar.engines.native.engine import NativeEngine
from instar.engines.native.llama import PAGE, PRECISIONS, SAMPLING, Ints, Llama
from instar.engines.native.paged import PREFILL, PagedBatch
from instar.engines.native.sequence_state import own_pages, samples_at_once
from instar.engines.scheduler.model_pool import Key
from instar.engines.scheduler.request import Request
from instar.errors import EngineError, ModelError
from instar.records import Finish, Reply, Sampling
from instar.scripted_world import base_policy
from tests.engines.asking import working
from tests.engines.tiny import CONFIG, EOS, FolderStore, make_model, policy_of, user

pytestmark = pytest.mark.skipif(build.why_not() is not None, reason=str(build.why_not()))
HERE = [p for p in PRECISIONS if build.why_not(p) is None]
TOKEN_BYTES = 2 * 2 * 32  # two layers, keys and values, one head of 32 numbers


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    make_model(folder / "a", seed=0)
    make_model(folder / "b", seed=1)
    return folder


@pytest.fixture
def engine(root: Path) -> Iterator[NativeEngine]:
    made = make(root)
    yield made
    made.close()


def make(root: Path, **settings: Any) -> NativeEngine:
    return NativeEngine(FolderStore(root), **{"cache_gb": 0.1, **settings})


def pages(count: int, precision: str = "f32") -> float:
    """As gigabytes."""
    return (count + 0.5) * PAGE * TOKEN_BYTES * {"f32": 4, "bf16": 2}[precision] / 2**30


async def asking(engine: NativeEngine, text: str = "what is 1 ?", **more: Any) -> list[Reply]:
    how = {k: more.pop(k) for k in ("temperature", "max_tokens", "top_k", "top_p") if k in more}
    settings = {"policy": policy_of("a"), "n": 1, "seed": 1, "precision": "f32", **more}
    return await engine.ask(
        settings.pop("policy"),
        user(text),
        sampling=Sampling(**{"temperature": 1.0, "max_tokens": 12, **how}),
        **settings,
    )


def ask(engine: NativeEngine, text: str = "what is 1 ?", **more: Any) -> list[Reply]:
    return asyncio.run(asking(engine, text, **more))


def said(replies: Sequence[Reply]) -> list[tuple[int, ...] | None]:
    return [r.token_ids for r in replies]


def ints(*values: int) -> Ints:
    return np.array(values, np.int32)


def logits_of(llama: Llama, ids: Sequence[int], table: Ints) -> Any:
    """Of every token of one sequence, read in one step."""
    every, out = np.arange(len(ids), dtype=np.int32), np.zeros((len(ids), llama.shape.vocab), np.float32)
    nothing = ints()
    llama.step(
        np.array(ids, np.int32), every, np.zeros_like(every), table, every, nothing, np.zeros(0, SAMPLING),
        np.zeros(0, np.uint64), nothing, alone=False, logits=out,
    )  # fmt: skip
    return out


def reference(folder: Path, ids: Sequence[int]) -> Any:
    import torch
    from transformers import LlamaForCausalLM

    model = LlamaForCausalLM.from_pretrained(folder, dtype=torch.float32)
    with torch.no_grad():
        return model(torch.tensor([list(ids)])).logits[0].numpy()


MANY = {"num_attention_heads": 24, "hidden_size": 768, "head_dim": 32}
"""24 query heads to one of keys and values: more than a tile has lines."""


@pytest.mark.parametrize(
    "changed", [{}, {"tie_word_embeddings": True}, {"num_key_value_heads": 2, "head_dim": 32}, MANY]
)
@pytest.mark.parametrize(("precision", "within"), [("f32", 1e-5), ("bf16", 0.04)])
def test_its_logits_are_those_of_transformers(
    tmp_path: Path, precision: str, within: float, changed: dict[str, Any]
) -> None:
    if precision not in HERE:
        pytest.skip(str(build.why_not(precision)))
    make_model(tmp_path / "m", seed=3, **changed)
    ids = [int(i) for i in np.random.default_rng(0).integers(0, 24, 75)]
    want = reference(tmp_path / "m", ids)
    llama = Llama(tmp_path / "m", precision, pages(12, precision))
    got = logits_of(llama, ids, np.array([[5, 3, 8, 1, 2]], np.int32))
    within *= (changed.get("hidden_size", 64) / 64) ** 0.5  # longer sums, rounded in another order
    assert np.abs(got - want).max() / np.abs(want).max() < within
    # one thread or two, alone or after each other: the same to the last bit
    other = Llama(tmp_path / "m", precision, pages(12, precision), threads=1)
    assert (logits_of(other, ids, np.array([[1, 2, 3, 4, 5]], np.int32)) == got).all()
    assert (logits_of(other, ids[:33], np.array([[6, 7, 8]], np.int32)) == got[:33]).all()
    llama.close()
    other.close()


@pytest.mark.parametrize("temperature", [0.0, 1.0])
@pytest.mark.parametrize("precision", HERE)
def test_a_reply_is_the_same_to_the_bit_alone_in_a_crowd_and_however_many_rows_there_are(
    root: Path, precision: str, temperature: float
) -> None:
    texts = [f"what is {' '.join(str((k * j) % 15) for j in range(1 + 5 * (k % 7)))} ?" for k in range(41)]
    how = {"temperature": temperature, "precision": precision, "max_tokens": 40, "n": 3}

    async def crowd(engine: NativeEngine) -> list[list[Reply]]:
        return await asyncio.gather(*(asking(engine, t, seed=k, **how) for k, t in enumerate(texts)))

    found = []
    for rows in (1, 3, 256):
        engine = make(root, rows=rows)
        found.append([said(r) for r in asyncio.run(crowd(engine))])
        engine.close()
    alone = make(root)
    found.append([said(ask(alone, t, seed=k, **how)) for k, t in enumerate(texts)])
    alone.close()
    assert found[0] == found[1] == found[2] == found[3]
    assert len({tuple(f) for f in found[0]}) > 30


class Driven:
    """A batch with nobody's thread: parts are joined and stepped by the test."""

    def __init__(self, folder: Path, count: int, rows: int = 8) -> None:
        self.loop = asyncio.new_event_loop()
        self.folder = folder
        self.llama = Llama(folder, "f32", pages(count))
        self.batch = PagedBatch(self.llama, [EOS], rows)

    def request(self, ids: Sequence[int], n: int = 1, max_tokens: int = 20, seed: int = 1) -> Request:
        sampling = Sampling(temperature=1.0, max_tokens=max_tokens)
        return Request(list(ids), n, sampling, seed, self.loop, self.loop.create_future())

    def answered(self, *requests: Request) -> list[list[tuple[int, ...]]]:
        """Joined at once, stepped until all are done."""
        for i, request in enumerate(requests):
            assert self.batch.admits(requests[:i], request)
        self.batch.join(requests)
        while self.batch.rows:
            self.batch.step()
        return [[request.outputs[i][0] for i in range(request.n)] for request in requests]

    def whole(self) -> bool:
        """Whether every page is back, and none is promised."""
        return self.batch._pages.headroom == self.llama.pages and not self.batch._pages._users

    def close(self) -> None:
        self.llama.close()
        self.loop.close()


@pytest.fixture
def driven(root: Path) -> Iterator[Driven]:
    made = Driven(root / "a", 40)
    yield made
    made.close()


def test_a_prompt_seen_before_is_not_read_again_and_the_reply_is_the_same(driven: Driven) -> None:
    ids = [3 + k % 20 for k in range(70)]
    cold = driven.answered(driven.request(ids, n=3))
    assert driven.batch.tokens_read == 70
    assert driven.answered(driven.request(ids, n=3)) == cold
    assert driven.batch.tokens_read == 70 + 6
    # 48 tokens are the same, then one differs
    driven.answered(driven.request([*ids[:50], 4, *ids[51:]]))
    assert driven.batch.tokens_read == 76 + 22
    # a last page that is whole is read again all the same: its last token gives the first logits
    driven.answered(driven.request(ids[:64]))
    assert driven.batch.tokens_read == 98 + 16
    assert driven.whole()


def test_prompts_that_come_together_read_their_common_beginning_once(driven: Driven) -> None:
    ids = [3 + k % 20 for k in range(40)]
    asked = [(ids, 1), ([*ids[:32], 5, 6], 2), (ids, 3)]
    alone = [driven.answered(driven.request(i, seed=s))[0] for i, s in asked]
    fresh = Driven(driven.folder, 40)
    together = fresh.answered(*(fresh.request(i, seed=s) for i, s in asked))
    assert together == alone
    assert fresh.batch.tokens_read == 40 + 2 + 8
    fresh.close()


@pytest.mark.parametrize("length", [20, 32])
@pytest.mark.parametrize("temperature", [0.05, 0.4, 1.5])
def test_samples_that_have_said_the_same_are_one_row_and_each_says_what_it_says_alone(
    driven: Driven, length: int, temperature: float
) -> None:
    ids = [3 + k % 20 for k in range(length)]
    how = Sampling(temperature=temperature, max_tokens=60)

    def request(n: int, first: int = 0) -> Request:
        return Request(ids, n, how, 5, driven.loop, driven.loop.create_future(), first=first)

    (together,) = driven.answered(request(8))
    # a row for every different beginning that somebody goes on from
    rows = {tuple(t[:k]) for t in together for k in range(1, len(t))}
    assert driven.batch.tokens_written == len(rows) < sum(len(t) - 1 for t in together)
    assert driven.whole()
    assert [driven.answered(request(1, first=i))[0][0] for i in range(8)] == together
    assert driven.whole()


def test_a_long_prompt_is_read_in_pieces_while_others_write_and_nobody_notices(tmp_path: Path) -> None:
    folder = make_model(tmp_path / "long", max_position_embeddings=2048)
    rng = np.random.default_rng(1)
    prompts = [[int(i) for i in rng.integers(3, 24, size)] for size in (5, 2 * PREFILL + 40, 17, 300, 16)]
    alone = []
    for k, ids in enumerate(prompts):
        one = Driven(folder, 120)
        alone += one.answered(one.request(ids, n=2, max_tokens=30, seed=k))
        one.close()
    crowd = Driven(folder, 120, rows=16)
    requests = [crowd.request(ids, n=2, max_tokens=30, seed=k) for k, ids in enumerate(prompts)]
    crowd.batch.join(requests[:1])
    for _ in range(2):
        crowd.batch.step()
    crowd.batch.join(requests[1:])
    while crowd.batch.rows:
        crowd.batch.step()
    assert [[p.outputs[0][0], p.outputs[1][0]] for p in requests] == alone
    assert crowd.whole()
    crowd.close()


def test_pages_are_let_go_for_others_and_the_replies_stay_the_same(root: Path) -> None:
    roomy, tight = make(root), make(root, cache_gb=pages(9))
    texts = [
        f"what is {' '.join(str((k * j) % 15) for j in range(1, 30 + k % 3))} ?" for k in (1, 2, 4, 7, 1, 2, 8, 11)
    ]

    async def all_of(engine: NativeEngine) -> list[list[Reply]]:
        return await asyncio.gather(*(asking(engine, t, seed=i, n=5, max_tokens=40) for i, t in enumerate(texts)))

    want = [said(r) for r in asyncio.run(all_of(roomy))]
    for _ in range(3):
        assert [said(r) for r in asyncio.run(all_of(tight))] == want
    with pytest.raises(EngineError, match=r"GB hold 144.*raise engine_options\.cache_gb"):
        ask(tight, max_tokens=150)
    roomy.close()
    tight.close()


def test_what_an_ask_can_come_to_need_is_what_it_is_admitted_by() -> None:
    assert [own_pages(16, reply) for reply in (1, 2, 17, 18)] == [0, 1, 1, 2]
    assert [own_pages(17, reply) for reply in (1, 16, 17)] == [1, 1, 2]
    assert samples_at_once(40, 20, pages=10, rows=8) == 4  # two whole pages for all, two more for each
    assert samples_at_once(40, 20, pages=3, rows=8) == 0
    assert samples_at_once(16, 1, pages=1, rows=8) == 8


@pytest.mark.parametrize("steps", [0, 1, 4])
def test_an_ask_nobody_waits_for_gives_all_its_pages_back(driven: Driven, steps: int) -> None:
    ids = [3 + k % 20 for k in range(70)]
    left, other = driven.request(ids, n=4, max_tokens=60), driven.request(ids[:20], n=2, seed=2)
    driven.batch.join([left, other])
    for _ in range(steps):
        driven.batch.step()
    left.cancelled = True
    driven.batch.compact()
    while driven.batch.rows:
        driven.batch.step()
    assert driven.whole()
    assert not left.answer.done()
    assert [other.outputs[i][0] for i in range(2)] == driven.answered(driven.request(ids[:20], n=2, seed=2))[0]


def test_what_was_never_computed_is_not_found(driven: Driven, monkeypatch: pytest.MonkeyPatch) -> None:
    ids = [3 + k % 20 for k in range(40)]

    def fails(self: Llama, *rest: Any, **more: Any) -> Ints:
        raise EngineError("no step today")

    with monkeypatch.context() as patched:
        patched.setattr(Llama, "step", fails)
        request = driven.request(ids)
        driven.batch.join([request])
        with pytest.raises(EngineError, match="today"):
            driven.batch.step()
    request.cancelled = True
    driven.batch.compact()
    assert driven.whole()
    driven.answered(driven.request(ids))
    assert driven.batch.tokens_read == 40


def test_numbers_that_are_none_fail_their_ask_alone_and_leave_no_trace_in_the_pages(tmp_path: Path) -> None:
    from safetensors.numpy import load_file, save_file

    # a folder with weights that are no numbers is refused: here they become so on the way, where the first dimension,
    # which the word 14 alone has, meets values beyond a float's end
    weights = load_file(make_model(tmp_path / "one") / "model.safetensors")
    weights["model.embed_tokens.weight"][:, 0] = 0
    weights["model.embed_tokens.weight"][WORD_14, 0] = 100
    weights["model.layers.0.self_attn.v_proj.weight"][:, 0] = 3e38
    for layer in range(2):
        weights[f"model.layers.{layer}.self_attn.o_proj.weight"][0] = 0
        weights[f"model.layers.{layer}.mlp.down_proj.weight"][0] = 0
    save_file(weights, tmp_path / "one" / "model.safetensors")
    weights["model.embed_tokens.weight"][:, 0] = 100
    save_file(weights, make_model(tmp_path / "all") / "model.safetensors")
    engine, fresh = (make(tmp_path, cache_gb=pages(8)) for _ in range(2))
    with pytest.raises(EngineError, match="are not numbers") as caught:
        ask(engine, n=3, policy=policy_of("all"))
    assert not caught.value.transient

    async def beside() -> list[Any]:
        texts = ["what is 1 ?", "what is 14 ?", f"what {'14 is ' * 25} ?", "what is 2 ?"]
        one = policy_of("one")
        return await asyncio.gather(
            *(asking(engine, t, policy=one, max_tokens=1, n=2) for t in texts), return_exceptions=True
        )

    good, bad, long, also_good = asyncio.run(beside())
    assert isinstance(bad, EngineError)
    assert isinstance(long, EngineError)
    assert len(good) == len(also_good) == 2
    plain = {"policy": policy_of("one"), "max_tokens": 12, "temperature": 0.0}
    texts = [f"what is {' '.join(str(k % 13) for k in range(n))} ?" for n in range(0, 60, 7)]
    assert [_told(engine, t, **plain) for t in texts] == [_told(fresh, t, **plain) for t in texts]
    engine.close()
    fresh.close()


WORD_14 = 23
"""The token of the word "14"."""


def _told(engine: NativeEngine, text: str, **more: Any) -> Any:
    try:
        return said(ask(engine, text, **more))
    except EngineError as e:  # it said "14" itself
        return e.message


@pytest.mark.parametrize(
    "how",
    [
        {"temperature": 1.0},
        {"temperature": 0.5},
        {"temperature": 1.5, "top_k": 5},
        {"temperature": 1.0, "top_p": 0.7},
        {"temperature": 0.8, "top_k": 10, "top_p": 0.9},
    ],
)
def test_tokens_are_drawn_as_often_as_their_chances_say(root: Path, engine: NativeEngine, how: dict[str, Any]) -> None:
    ids = ChatTokenizer.load(root / "a").prompt_ids(user("what is 1 ?"))
    scores = reference(root / "a", ids)[-1].astype(np.float64) / how["temperature"]
    if how.get("top_k"):
        scores[scores < np.sort(scores)[-how["top_k"]]] = -np.inf
    chances = np.exp(scores - scores.max())
    chances /= chances.sum()
    ordered = np.sort(chances)[::-1]
    least = ordered[np.cumsum(ordered) - ordered < how.get("top_p", 1.0)].min()
    chances[chances < least] = 0
    chances /= chances.sum()
    n = 4000
    counted = Counter(t[0] for t in said(ask(engine, n=n, max_tokens=1, **how)) if t)
    assert sum(counted.values()) == n
    assert set(counted) <= set(np.flatnonzero(chances).tolist())
    seen, expected = np.array([counted[i] for i in range(len(chances))])[chances > 0], n * chances[chances > 0]
    freedom = len(seen) - 1
    assert ((seen - expected) ** 2 / expected).sum() < freedom + 5 * (2 * freedom) ** 0.5


def test_a_stopped_reply_ends_with_its_stop_token_and_a_cut_one_has_all_its_tokens(engine: NativeEngine) -> None:
    replies = ask(engine, n=40, max_tokens=30)
    stopped = [r for r in replies if r.finish is Finish.stop]
    assert 5 < len(stopped) < 40
    assert all(r.token_ids and r.token_ids[-1] == EOS and r.token_ids.count(EOS) == 1 for r in stopped)
    assert all(r.token_ids and EOS not in r.token_ids and r.tokens == 30 for r in replies if r not in stopped)


def test_the_idle_policy_used_longest_ago_makes_room_and_an_evicted_one_leaves(engine: NativeEngine) -> None:
    ask(engine, policy=policy_of("a"))
    ask(engine, policy=policy_of("b"))
    assert [key[0] for key in engine._pool.loaded()] == ["b"]
    engine.evict(policy_of("b"))
    assert engine._pool.loaded() == []


def test_unloading_under_way_fails_the_waiting_asks_transiently_and_the_next_one_works(engine: NativeEngine) -> None:
    async def scene() -> BaseException | list[Reply]:
        task = asyncio.create_task(asking(engine, n=200, max_tokens=220))
        await working(lambda: engine._pool.get(Key("a", "f32")))
        engine.unload()
        return (await asyncio.gather(task, return_exceptions=True))[0]

    failed = asyncio.run(scene())
    assert isinstance(failed, EngineError)
    assert failed.transient
    assert len(ask(engine, n=2)) == 2


def test_what_it_cannot_run_is_refused_by_name(tmp_path: Path) -> None:
    from safetensors.numpy import load_file, save_file

    engine = make(tmp_path)
    for changed, says in (
        ({"num_attention_heads": 4}, "heads of 16 numbers"),
        ({"hidden_size": 72, "num_attention_heads": 2, "head_dim": 36}, "hidden size of 72"),
        ({"attention_bias": True}, "has biases"),
    ):
        make_model(tmp_path / "odd", **changed)
        with pytest.raises(ModelError, match=says):
            ask(engine, policy=policy_of("odd"))
    for changed, says in (
        ({"num_attention_heads": 3, "hidden_size": 96, "num_key_value_heads": 2, "head_dim": 32}, "3 heads over 2"),
        ({"architectures": ["GPTNeoXForCausalLM"], "model_type": "gpt_neox"}, "cannot run GPTNeoXForCausalLM"),
    ):
        folder = make_model(tmp_path / "odd")
        (folder / "config.json").write_text(json.dumps({**CONFIG, **changed}))
        with pytest.raises(ModelError, match=says):
            ask(engine, policy=policy_of("odd"))
    whole = load_file(make_model(tmp_path / "torn") / "model.safetensors")
    for held, says in (
        ({k: v for k, v in whole.items() if "layers.1." not in k}, "lack 9 of the model's tensors"),
        (
            {**whole, "model.norm.weight": np.ones(32, np.float32)},
            r"norm.weight .* is \[32\]; .* says \[64\]",
        ),
        ({**whole, "lora.weight": np.ones(32, np.float32)}, "no part of a Llama"),
    ):
        save_file(held, tmp_path / "torn" / "model.safetensors")
        with pytest.raises(ModelError, match=says):
            ask(engine, policy=policy_of("torn"))
    with pytest.raises(ModelError, match="not an artefact"):
        ask(engine, policy=base_policy())
    with pytest.raises(EngineError, match=r"no precision 'int8'.*f32, bf16"):
        ask(engine, precision="int8")
    for wrong in ({"rows": 0}, {"resident_max": 0}, {"cache_gb": 0}, {"sample_precision": "f8"}):
        with pytest.raises(EngineError):
            make(tmp_path, **wrong)
    engine.close()
    with pytest.raises(EngineError, match="is closed"):
        ask(engine)


def test_torch_is_not_needed(root: Path) -> None:
    code = (
        "import asyncio, sys\nfrom pathlib import Path\nfrom tests.engines.test_native import ask, make\n"
        f"engine = make(Path({str(root)!r}))\nassert len(ask(engine, n=2)) == 2\nengine.close()\n"
        "print([m for m in ('torch', 'transformers', 'openvino') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=120)
    assert done.stdout.strip() == "[]", done.stderr


def test_scores_wait_for_pages_that_those_who_write_are_promised_and_a_too_long_one_is_refused(tmp_path: Path) -> None:
    make_model(tmp_path / "m")
    engine = NativeEngine(FolderStore(tmp_path), cache_gb=13 * PAGE * 128 * 4 / 2**30 + 1e-9)
    policy, how = policy_of("m"), Sampling(temperature=1.0, max_tokens=100)

    def said(n: int) -> Reply:
        ids = tuple(3 + 7 * i % 20 for i in range(n))
        return Reply(text="", finish=Finish.length, policy=policy.id, engine="x", precision="f32", token_ids=ids)

    def score(n: int) -> Coroutine[Any, Any, list[list[float]]]:
        return engine.score(policy, user("what is 1 ?"), [said(n)], precision="f32")

    async def at_once() -> list[Any]:
        asks = [
            engine.ask(policy, user(f"what is {k} ?"), n=1, sampling=how, seed=k, precision="f32") for k in range(4)
        ]
        return await asyncio.gather(*asks, score(150), score(20), score(150))

    *replies, long, short, again = asyncio.run(at_once())
    assert all(len(r) == 1 for r in replies)
    assert long == again == asyncio.run(score(150))
    assert short == asyncio.run(score(20))
    with pytest.raises(EngineError, match=r"A reply of 230 tokens to a prompt of \d+ needs \d+ cached tokens"):
        asyncio.run(score(230))
    engine.close()
