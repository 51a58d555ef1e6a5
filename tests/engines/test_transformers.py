"""What the transformers engine promises beyond the contract: architectures, batches, log-probabilities, residency."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from instar.chat import ChatTokenizer
from instar.engines.hf.batch import Batch
from instar.engines.hf.engine import TransformersEngine
from instar.engines.hf.model import sampling_precision
from instar.engines.scheduler.model_pool import Key
from instar.errors import EngineError, ModelError
from instar.records import Finish, Reply
from instar.scripted_world import base_policy
from tests.engines.architectures import make_other
from tests.engines.asking import ask, asking, make, working
from tests.engines.tiny import EOS, FolderStore, make_model, policy_of, user

pytestmark = pytest.mark.usefixtures("one_thread")


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
    from instar.engines.hf.model import HfModel

    shapes: list[tuple[int, ...]] = []
    forward = HfModel.forward

    def watched(self: HfModel, ids: Any, *rest: Any, **more: Any) -> Any:
        shapes.append(tuple(ids.shape))
        return forward(self, ids, *rest, **more)

    monkeypatch.setattr(HfModel, "forward", watched)
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
    assert [key[0] for key in engine._pool.loaded()] == ["a", "c"]
    engine.evict(policy_of("c"))
    assert [key[0] for key in engine._pool.loaded()] == ["a"]
    engine.close()


def test_an_ask_cancelled_while_it_generates_is_dropped_and_the_rest_go_on(engine: TransformersEngine) -> None:
    async def scene() -> list[Reply]:
        long = asyncio.create_task(asking(engine, policy_of("a"), n=64, max_tokens=200))
        other = asyncio.create_task(asking(engine, policy_of("a"), n=2, seed=3))
        worker = await working(lambda: engine._pool.get(Key("a", "f32")))
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
        await working(lambda: engine._pool.get(Key("a", "f32")))
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
    # the file holds numbers, or it would be refused: their sums are none
    weights["lm_head.weight"] = np.sign(weights["lm_head.weight"]) * np.float32(3e38)
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
    with pytest.raises(ModelError, match="not a readable safetensors"):
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
    with pytest.raises(ModelError, match=r"adapter_config\.json cannot be read"):  # there is no such adapter
        ask(engine, policy_of("a").model_copy(update={"adapters": {"judge": "x"}}).acting("judge"))
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
