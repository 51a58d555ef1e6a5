"""What the transformers engine promises beyond the contract: architectures, batches, log-probabilities, residency."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from instar.chat import ChatTokenizer
from instar.engines.batching import Batch
from instar.engines.causal import sampling_precision
from instar.engines.transformers import TransformersEngine
from instar.errors import EngineError, ModelError
from instar.records import Finish, Policy, Reply, Sampling
from instar.scripted_world import base_policy
from tests.engines.architectures import KINDS, make_other
from tests.engines.tiny import EOS, FolderStore, make_model, policy_of, user

TOLERANCE = 1e-4
"""Nats a token: how far float32 log-probabilities may differ between two orders of summing (measured: below 1e-5)."""


@pytest.fixture(scope="module", autouse=True)
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


def make(root: Path, **settings: Any) -> TransformersEngine:
    return TransformersEngine(FolderStore(root), **{"device": "cpu", "cache_gb": 0.5, **settings})


async def asking(engine: TransformersEngine, policy: Policy, text: str = "what is 1 ?", **more: Any) -> list[Reply]:
    sampling = Sampling(
        temperature=more.pop("temperature", 1.0), max_tokens=more.pop("max_tokens", 12), top_k=more.pop("top_k", None)
    )
    settings = {"n": 1, "seed": 1, "precision": "f32", **more}
    return await engine.ask(policy, user(text), sampling=sampling, **settings)


def ask(engine: TransformersEngine, policy: Policy, text: str = "what is 1 ?", **more: Any) -> list[Reply]:
    return asyncio.run(asking(engine, policy, text, **more))


def questions(n: int) -> list[str]:
    """Of different lengths, so that a batch needs padding."""
    return [f"what is {' '.join(str((k + j) % 15) for j in range(1 + k % 7))} ?" for k in range(n)]


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

    from instar.engines import pipeline
    from instar.engines.openvino import OpenVinoEngine

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
        mine = asyncio.run(engine.logprobs(policy_of("half"), user(question), ours.token_ids, "f32"))
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

    async def all_at_once() -> list[list[float]]:
        return await asyncio.gather(
            *(engine.logprobs(policy_of(kind), user(q), a, "f32") for q, a in zip(questions(3), answers, strict=True))
        )

    for question, answer, found in zip(questions(3), answers, asyncio.run(all_at_once()), strict=True):
        prompt = chat.prompt_ids(user(question))
        with torch.no_grad():
            logits = model(torch.tensor([prompt + answer])).logits[0].log_softmax(-1)
        wanted = [float(logits[len(prompt) - 1 + i, token]) for i, token in enumerate(answer)]
        assert found == pytest.approx(wanted, abs=TOLERANCE)


def test_an_answer_that_cannot_be_scored_is_refused(engine: TransformersEngine) -> None:
    for answer, what in (([], "is empty"), ([5, 99], r"holds the tokens \[99\]"), ([5] * 300, "context is 256")):
        with pytest.raises(EngineError, match=what):
            asyncio.run(engine.logprobs(policy_of("a"), user("what ?"), answer, "f32"))


def test_a_stopped_reply_ends_with_its_stop_token_which_its_text_leaves_out(engine: TransformersEngine) -> None:
    replies = ask(engine, policy_of("a"), n=32, max_tokens=40)
    stopped = [r for r in replies if r.finish is Finish.stop]
    assert stopped
    assert all(r.token_ids and r.token_ids[-1] == EOS and r.token_ids.count(EOS) == 1 for r in stopped)
    assert all(r.token_ids and EOS not in r.token_ids and r.tokens == 40 for r in replies if r not in stopped)
    assert all("<eos>" not in r.text for r in replies)


def test_the_context_is_the_models_own_whatever_its_config_calls_it(engine: TransformersEngine) -> None:
    # GPT-2 writes n_positions, which the tokenizer's reader does not know
    with pytest.raises(EngineError, match="context is 128"):
        ask(engine, policy_of("gpt2"), "what is 1 " * 45)


def test_finished_rows_leave_the_batch(engine: TransformersEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []
    step = Batch.step

    def counted(self: Batch) -> None:
        sizes.append(len(self.rows))
        step(self)

    monkeypatch.setattr(Batch, "step", counted)
    ask(engine, policy_of("a"), n=32, max_tokens=60)
    assert sizes[0] >= 20  # some say their stop token at once
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[-1] < 16


def test_a_prompt_is_read_once_for_all_its_samples(engine: TransformersEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    from instar.engines.causal import CausalModel

    shapes: list[tuple[int, ...]] = []
    forward = CausalModel.forward

    def watched(self: CausalModel, ids: Any, *rest: Any, **more: Any) -> Any:
        shapes.append(tuple(ids.shape))
        return forward(self, ids, *rest, **more)

    monkeypatch.setattr(CausalModel, "forward", watched)
    ask(engine, policy_of("a"), "what is 1 2 3 ?", n=16, max_tokens=2)
    assert shapes[0][0] == 1
    assert shapes[0][1] > 5
    assert all(width == 1 and rows <= 16 for rows, width in shapes[1:])


def test_asks_beyond_the_cache_wait_their_turn_and_one_that_can_never_fit_is_refused(root: Path) -> None:
    # 2 layers, 1 key/value head of 32, keys and values, 4 bytes: 512 bytes a token
    tight = make(root, cache_gb=512 * 200 / 2**30)

    async def many() -> list[list[Reply]]:
        return await asyncio.gather(*(asking(tight, policy_of("a"), n=4, seed=i) for i in range(12)))

    assert [len(r) for r in asyncio.run(many())] == [4] * 12
    with pytest.raises(EngineError, match="hold 200"):
        ask(tight, policy_of("a"), max_tokens=220)
    tight.close()


def test_many_concurrent_asks_load_the_weights_once_and_two_prompts_share_them(engine: TransformersEngine) -> None:
    async def many() -> None:
        await asyncio.gather(*(asking(engine, policy_of("a"), seed=i, max_tokens=3) for i in range(50)))

    asyncio.run(many())
    assert ask(engine, policy_of("a", "Be brief."))[0].policy == policy_of("a", "Be brief.").id
    assert isinstance(engine.artefacts, FolderStore)
    assert engine.artefacts.opened == 1


def test_the_idle_policy_used_longest_ago_makes_room_and_an_evicted_one_leaves(root: Path) -> None:
    make_model(root / "c", seed=2)
    engine = make(root, resident_max=2)
    for name in "abac":
        ask(engine, policy_of(name), max_tokens=2)
    assert [key[0] for key in engine._residents.loaded()] == ["a", "c"]
    engine.evict(policy_of("c"))
    assert [key[0] for key in engine._residents.loaded()] == ["a"]
    engine.close()


def test_an_ask_cancelled_while_it_generates_is_dropped_and_the_rest_go_on(engine: TransformersEngine) -> None:
    async def scene() -> list[Reply]:
        long = asyncio.create_task(asking(engine, policy_of("a"), n=64, max_tokens=200))
        other = asyncio.create_task(asking(engine, policy_of("a"), n=2, seed=3))
        worker = None
        while not (worker and worker._active):
            await asyncio.sleep(0.001)
            worker = engine._residents.get(("a", "f32"))
        long.cancel()
        with pytest.raises(asyncio.CancelledError):
            await long
        answered = await other
        await asking(engine, policy_of("a"))
        assert all(p.n == 1 for p in worker._active)
        assert worker.users == 0
        return answered

    assert len(asyncio.run(scene())) == 2


def test_unloading_under_way_fails_the_waiting_asks_transiently_and_the_next_one_works(
    engine: TransformersEngine,
) -> None:
    async def scene() -> BaseException | list[Reply]:
        task = asyncio.create_task(asking(engine, policy_of("a"), n=64, max_tokens=240 - 20))
        while not ((w := engine._residents.get(("a", "f32"))) and w._active):
            await asyncio.sleep(0.001)
        engine.unload()
        return (await asyncio.gather(task, return_exceptions=True))[0]

    failed = asyncio.run(scene())
    assert isinstance(failed, EngineError)
    assert failed.transient
    assert len(ask(engine, policy_of("a"), n=2)) == 2


def test_a_failure_while_stepping_reaches_every_ask_and_the_next_one_loads_again(
    engine: TransformersEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(self: Batch) -> None:
        raise RuntimeError("the cache caught fire")

    async def three() -> list[Any]:
        return await asyncio.gather(
            *(asking(engine, policy_of("a"), n=8, seed=i) for i in range(3)), return_exceptions=True
        )

    with monkeypatch.context() as patched:
        patched.setattr(Batch, "step", broken)
        results = asyncio.run(three())
    assert all(isinstance(r, EngineError) and r.transient for r in results)
    assert "the cache caught fire" in str(results[0])
    assert len(ask(engine, policy_of("a"))) == 1


def test_weights_that_are_not_numbers_are_an_error_that_asking_again_does_not_mend(root: Path) -> None:
    import numpy as np
    from safetensors.numpy import load_file, save_file

    weights = load_file(make_model(root / "nan") / "model.safetensors")
    weights["lm_head.weight"] = weights["lm_head.weight"] * np.float32("nan")
    save_file(weights, root / "nan" / "model.safetensors")
    engine = make(root)
    with pytest.raises(EngineError, match="are not numbers") as caught:
        ask(engine, policy_of("nan"), n=3)
    assert not caught.value.transient
    engine.close()


def test_what_cannot_be_loaded_is_an_error_for_each_ask_and_does_not_stick(root: Path) -> None:
    from safetensors.numpy import load_file, save_file

    engine = make(root)
    with pytest.raises(ModelError, match=r"holds no tokenizer\.json"):
        ask(engine, policy_of("later"))
    whole = load_file(make_model(root / "later") / "model.safetensors")
    save_file({k: v for k, v in whole.items() if "layers.1." not in k}, root / "later" / "model.safetensors")
    # transformers would fill the gap with random numbers and only warn
    with pytest.raises(ModelError, match=r"lack 9 of the model's tensors"):
        ask(engine, policy_of("later"))
    (root / "later" / "model.safetensors").write_bytes(b"torn")
    with pytest.raises(ModelError, match="cannot load"):
        ask(engine, policy_of("later"))
    make_model(root / "later")
    assert len(ask(engine, policy_of("later"))) == 1
    engine.close()


def test_a_model_that_keeps_a_recurrent_state_is_refused(root: Path, engine: TransformersEngine) -> None:
    make_other(root / "mamba", "mamba")
    with pytest.raises(ModelError, match="cannot batch MambaForCausalLM"):
        ask(engine, policy_of("mamba"))


def test_code_that_a_model_brings_runs_only_when_it_is_asked_for(root: Path, tmp_path: Path) -> None:
    folder = make_model(root / "own", model_type="my_own", architectures=["Mine"])
    config = json.loads((folder / "config.json").read_text())
    config["auto_map"] = {"AutoConfig": "own_code.MyConfig", "AutoModelForCausalLM": "own_code.Mine"}
    (folder / "config.json").write_text(json.dumps(config))
    ran = tmp_path / "ran"
    (folder / "own_code.py").write_text(
        f"from pathlib import Path\nPath({str(ran)!r}).touch()\n"
        "from transformers import LlamaConfig, LlamaForCausalLM\n"
        "class MyConfig(LlamaConfig):\n    model_type = 'my_own'\n"
        "class Mine(LlamaForCausalLM):\n    config_class = MyConfig\n"
    )
    careful, trusting = make(root), make(root, trust_remote_code=True)
    with pytest.raises(ModelError, match=r"engine_options\.trust_remote_code=true"):
        ask(careful, policy_of("own"))
    assert not ran.exists()
    assert len(ask(trusting, policy_of("own"))) == 1
    assert ran.exists()
    careful.close()
    trusting.close()


def test_a_model_without_a_chat_template_is_asked_in_the_plain_form(root: Path, engine: TransformersEngine) -> None:
    (make_model(root / "plain") / "chat_template.jinja").unlink()
    [reply] = ask(engine, policy_of("plain"), "what is 1 ?")
    # "Question: what is 1 ?\nAnswer:", whose words and colons this tokenizer counts as 9
    assert reply.prompt_tokens == len(ChatTokenizer.load(root / "plain").prompt_ids(user("what is 1 ?")))


def test_bfloat16_answers_and_says_so(engine: TransformersEngine) -> None:
    replies = ask(engine, policy_of("gpt_neox"), n=4, precision="bf16")
    assert {r.precision for r in replies} == {"bf16"}
    assert len({r.text for r in replies}) > 1


def test_sampling_uses_bf16_only_where_the_cpu_has_it(tmp_path: Path) -> None:
    info = tmp_path / "cpuinfo"
    for flags, precision in (("flags : avx amx_bf16 fma", "bf16"), ("flags : avx512f fma", "f32")):
        info.write_text(flags)
        assert sampling_precision("cpu", info) == precision
    assert sampling_precision("cpu", tmp_path / "none") == "f32"


def test_a_missing_package_names_the_extra(engine: TransformersEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(ModelError, match=r"instar\[train\]"):
        ask(engine, policy_of("a"))


def test_what_it_cannot_answer_for_is_refused(root: Path, engine: TransformersEngine) -> None:
    with pytest.raises(ModelError, match="not an artefact"):
        ask(engine, base_policy())
    with pytest.raises(ModelError, match=r"adapters \(judge\)"):
        ask(engine, policy_of("a").model_copy(update={"adapters": {"judge": "x"}}))
    with pytest.raises(EngineError, match=r"no precision 'int8'.*f32, bf16"):
        ask(engine, policy_of("a"), precision="int8")
    with pytest.raises(EngineError, match="no device 'tpu'"):
        ask(make(root, device="tpu"), policy_of("a"))
    for wrong in ({"rows": 0}, {"resident_max": 0}, {"cache_gb": 0}, {"sample_precision": "f8"}):
        with pytest.raises(EngineError):
            make(root, **wrong)
    engine.close()
    with pytest.raises(EngineError, match="is closed"):
        ask(engine, policy_of("a"))
