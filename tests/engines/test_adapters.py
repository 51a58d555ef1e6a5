"""Adapters on weights: each role its own, answered as a model with the adapter merged in, and never the wrong one."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from instar.engines.hf import model
from instar.engines.hf.engine import TransformersEngine
from instar.engines.hf.model import HfModel
from instar.engines.native import build
from instar.engines.native.engine import NativeEngine
from instar.engines.openvino.engine import OpenVinoEngine
from instar.engines.scheduler.local import LocalEngine
from instar.engines.scripted.engine import ScriptedEngine
from instar.errors import ModelError
from instar.model_folder.adapter import read
from instar.records import Policy, Sampling
from instar.scripted_world import adapter_of, base_policy
from tests.engines.asking import reply_of
from tests.engines.tiny import FolderStore, make_model, policy_of, tensors, user

ENGINES = [
    pytest.param(NativeEngine, marks=pytest.mark.skipif(build.why_not() is not None, reason=str(build.why_not()))),
    TransformersEngine,
]
IDS = (9, 12, 15, 11, 20, 2)


def make_adapter(folder: Path, seed: int, base: str = "plain", **changed: Any) -> Path:
    """A LoRA of rank 3 on all linear layers of the tiny model, as peft writes it."""
    rng = np.random.default_rng(seed)
    rows: dict[str, Any] = {}
    for name, weight in tensors(0).items():
        if weight.ndim == 2 and "layers" in name:
            at = "base_model.model." + name.removesuffix(".weight")
            rows[f"{at}.lora_A.weight"] = (rng.standard_normal((3, weight.shape[1])) * 0.3).astype(np.float32)
            rows[f"{at}.lora_B.weight"] = (rng.standard_normal((weight.shape[0], 3)) * 0.3).astype(np.float32)
    folder.mkdir(parents=True)
    save_file(rows, folder / "adapter_model.safetensors")
    config = {"peft_type": "LORA", "r": 3, "lora_alpha": 6, "base_model_name_or_path": base, "bias": "none", **changed}
    (folder / "adapter_config.json").write_text(json.dumps(config))
    return folder


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model, two adapters of it, and the model with each merged in by hand."""
    root = tmp_path_factory.mktemp("models")
    plain = make_model(root / "plain")
    for seed, name in enumerate(("first", "second")):
        rows = load_file(make_adapter(root / name, seed) / "adapter_model.safetensors")
        weights = load_file(plain / "model.safetensors")
        for at in [n for n in rows if ".lora_A." in n]:
            target = at.removeprefix("base_model.model.").replace(".lora_A.", ".")
            weights[target] = weights[target] + 2.0 * rows[at.replace("lora_A", "lora_B")] @ rows[at]
        save_file(weights, make_model(root / f"merged_{name}") / "model.safetensors")
    return root


@pytest.fixture(params=ENGINES, ids=lambda e: e.name)
def engine(request: pytest.FixtureRequest, root: Path) -> Iterator[LocalEngine]:
    made = request.param(FolderStore(root), cache_gb=0.1)
    yield made
    made.close()


@pytest.fixture(params=[*ENGINES, OpenVinoEngine], ids=lambda e: e.name)
def any_engine(request: pytest.FixtureRequest, root: Path, tmp_path: Path) -> Iterator[LocalEngine | OpenVinoEngine]:
    store = FolderStore(root)
    made = OpenVinoEngine(store, tmp_path) if request.param is OpenVinoEngine else request.param(store, cache_gb=0.1)
    yield made
    made.close()


def roles(root: Path) -> Policy:
    """One policy, two roles with adapters."""
    return policy_of("plain").model_copy(update={"adapters": {"planner": "first", "critic": "second"}})


def scores(engine: LocalEngine | OpenVinoEngine, policy: Policy) -> list[float]:
    (found,) = asyncio.run(engine.score(policy, user("what is 1 ?"), [reply_of("plain", IDS)], precision="f32"))
    return found


def test_a_role_is_answered_as_the_model_with_its_adapter_merged_in(
    any_engine: LocalEngine | OpenVinoEngine, root: Path
) -> None:
    engine, policy = any_engine, roles(root)
    for role, merged in (("planner", "merged_first"), ("critic", "merged_second"), ("self", "plain")):
        assert scores(engine, policy.acting(role)) == pytest.approx(scores(engine, policy_of(merged)), abs=1e-4)
    assert scores(engine, policy.acting("planner")) != pytest.approx(scores(engine, policy.acting("critic")), abs=0.1)


def test_roles_asked_in_turn_answer_as_each_alone_and_every_reply_says_its_adapter(
    any_engine: LocalEngine | OpenVinoEngine, root: Path
) -> None:
    engine = any_engine
    policy, sampling = roles(root), Sampling(max_tokens=12, temperature=0.0)

    async def ask(role: str) -> tuple[str | None, tuple[int, ...] | None]:
        acting = policy.acting(role)
        (r,) = await engine.ask(acting, user("what is 2 ?"), n=1, sampling=sampling, seed=1, precision="f32")
        return r.adapter, r.token_ids

    async def crowd() -> list[tuple[str | None, tuple[int, ...] | None]]:
        engine.hold(3)
        return await asyncio.gather(*(ask(role) for _ in range(4) for role in ("self", "planner", "critic")))

    alone = [asyncio.run(ask(role)) for role in ("self", "planner", "critic")]
    assert [adapter for adapter, _ in alone] == [None, "first", "second"]
    assert asyncio.run(crowd()) == 4 * alone


def test_openvino_gives_the_room_back_when_fewer_roles_are_asked(root: Path, tmp_path: Path) -> None:
    engine, policy = OpenVinoEngine(FolderStore(root), tmp_path), roles(root)
    try:
        engine.hold(3)
        for role in ("self", "planner", "critic"):
            scores(engine, policy.acting(role))
        assert len(engine._pool.loaded()) == 3
        engine.hold(1)
        scores(engine, policy_of("merged_first"))
        assert [key.digest for key in engine._pool.loaded()] == ["merged_first"]
    finally:
        engine.close()


def test_as_many_weights_stay_loaded_as_are_asked_in_turn(
    engine: LocalEngine, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loads: list[object] = []
    real = engine._load
    monkeypatch.setattr(engine, "_load", lambda *a: (loads.append(a[-1]), real(*a))[1])
    policy = roles(root)

    def in_turn() -> int:
        loads.clear()
        for _ in range(2):
            for role in ("self", "planner", "critic"):
                scores(engine, policy.acting(role))
        return len(loads)

    assert in_turn() == 6
    engine.hold(3)
    assert engine.resident_max == 3
    assert in_turn() == 2  # one is there
    assert in_turn() == 0
    engine.hold(1)
    scores(engine, policy_of("merged_first"))  # another comes
    assert [key.digest for key in engine._pool.loaded()] == ["merged_first"]


def test_an_adapter_shares_the_weights_that_are_loaded_and_leaves_them_as_they_are(root: Path) -> None:
    plain = HfModel(root / "plain", "f32", "cpu", False)
    before = {name: (p.data_ptr(), p.clone()) for name, p in plain._model.named_parameters()}
    put_on = HfModel(root / "plain", "f32", "cpu", False, read(root / "first", "plain"))
    own = {p.data_ptr() for name, p in put_on._model.named_parameters() if ".lora_" not in name}
    assert own == {at for at, _ in before.values()}
    assert {n: p.data_ptr() for n, p in plain._model.named_parameters()} == {n: at for n, (at, _) in before.items()}
    assert all((p == before[n][1]).all() for n, p in plain._model.named_parameters())
    del plain, put_on
    assert not model._PLAIN


def test_an_adapter_of_other_weights_is_refused_naming_both(any_engine: LocalEngine | OpenVinoEngine) -> None:
    policy = policy_of("merged_first").model_copy(update={"adapters": {"self": "second"}}).acting("self")
    with pytest.raises(ModelError, match="trained on the weights plain, and it is put on merged_first"):
        scores(any_engine, policy)


def test_what_an_adapter_says_of_itself_and_is_not_understood_is_refused(tmp_path: Path) -> None:
    for i, odd in enumerate(
        ({"use_dora": True}, {"modules_to_save": ["lm_head"]}, {"peft_type": "IA3"}, {"r": 0}, {"bias": "all"},
         {"rank_pattern": {"q_proj": 8}}, {"something_new": 3})
    ):  # fmt: skip
        with pytest.raises(ModelError, match="not understood"):
            read(make_adapter(tmp_path / str(i), 0, **odd), "plain")


def test_a_damaged_adapter_is_refused(root: Path, tmp_path: Path) -> None:
    folder = make_adapter(tmp_path / "a", 0)
    path = folder / "adapter_model.safetensors"
    whole = load_file(path)
    name = next(n for n in whole if ".lora_A." in n)
    save_file({n: t for n, t in whole.items() if n != name}, path)
    with pytest.raises(ModelError, match="1 other tensors"):
        read(folder, "plain")
    save_file({**whole, name: np.full_like(whole[name], np.nan)}, path)
    with pytest.raises(ModelError, match="numbers that are none"):
        read(folder, "plain")
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(ModelError, match="not a readable safetensors file"):
        read(folder, "plain")


def test_an_adapter_that_does_not_fit_the_matrices_is_refused(
    any_engine: LocalEngine | OpenVinoEngine, root: Path
) -> None:
    make_model(root / "narrow", intermediate_size=64)
    if not (root / "wide").exists():
        make_adapter(root / "wide", 0, base="narrow")
    policy = policy_of("narrow").model_copy(update={"adapters": {"self": "wide"}}).acting("self")
    with pytest.raises(ModelError, match=r"adds \[\d+, \d+\] numbers to .*, and the weights have one of"):
        scores(any_engine, policy)


def test_the_scripted_model_has_adapters_too() -> None:
    policy = base_policy().model_copy(update={"adapters": {"expert": adapter_of({"add": 1.0})}})
    engine, sampling = ScriptedEngine(parse_failures=0.0), Sampling(temperature=1.0, max_tokens=50)

    def right(role: str) -> int:
        asked = engine.ask(
            policy.acting(role), user("Calculate 17 + 25."), n=40, sampling=sampling, seed=1, precision="exact"
        )
        return sum("42" in r.text for r in asyncio.run(asked))

    assert right("expert") == 40
    assert right("self") < 30
    strange = policy.model_copy(update={"adapters": {"expert": "0" * 64}}).acting("expert")
    with pytest.raises(ModelError, match="made for other weights"):
        asyncio.run(engine.ask(strange, user("hi"), n=1, sampling=sampling, seed=1, precision="exact"))
