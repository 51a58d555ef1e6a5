"""A GPU: it answers and learns by itself where there is one, and a run that began on one does not go on without."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from instar.app.configs.config import plan
from instar.app.configs.registry import EngineContext
from instar.app.host import engine_choice
from instar.app.host.engine_choice import Choice, engine_for
from instar.app.weights.models import obtain
from instar.cli import doctor
from instar.engines.native import build
from instar.errors import CannotContinue
from instar.records import Policy, Weights
from instar.store.artefacts import Artefacts
from instar.store.ledger import Ledger
from tests.app.test_engine_choice import SMALL, begun, go  # noqa: F401 - the fixture of a run
from tests.engines.tiny import make_model
from tests.update.tiny import make_model as make_gpt2


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_choice, "cuda", lambda: True)
    monkeypatch.setattr(build, "why_not", lambda precision=None: None)


def test_on_a_gpu_auto_is_transformers_and_a_cpu_that_is_asked_for_is_not_passed_over(
    tmp_path: Path, gpu: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Artefacts(tmp_path / "artefacts")
    llama = obtain(str(make_model(tmp_path / "llama")), home=tmp_path, artefacts=store, system=None, say=print)
    assert engine_for(llama, store) == "transformers"
    assert engine_for(llama, store, {"exam_precision": "f32", "sample_precision": "bf16"}) == "transformers"
    assert engine_for(llama, store, {"device": "cuda"}) == "transformers"
    assert engine_for(llama, store, {"sample_precision": "int8"}) == "openvino"  # transformers has no int8
    assert engine_for(llama, store, before="native") == "native"  # what a run's exams were answered by
    assert (
        engine_for(llama, store, {"device": "cpu", "trust_remote_code": False}) == "transformers"
    )  # it alone has both
    monkeypatch.setattr(engine_choice, "cuda", lambda: False)
    assert engine_for(llama, store) == "native"


def test_exams_are_answered_at_the_exams_precision_and_the_choice_says_the_device(tmp_path: Path, gpu: None) -> None:
    store = Artefacts(tmp_path / "artefacts")
    llama = obtain(str(make_model(tmp_path / "llama")), home=tmp_path, artefacts=store, system=None, say=print)
    tasks = {"op": "jsonl", "path": "x.jsonl"}
    for options, device in (({}, "cuda"), ({"device": "cuda:1"}, "cuda:1")):
        choice = engine_choice.choose(plan({**SMALL, "engine_options": options, "tasks": tasks}), llama, store, print)
        assert (choice.exam, choice.sample, choice.device) == ("transformers", "transformers", device)
    engine = engine_choice._opened(
        choice.model_copy(update={"device": "cpu"}), EngineContext(store, tmp_path, {}), False
    )
    assert engine.precision_for("exam") == "f32"
    engine.close()


def test_a_run_that_began_on_a_gpu_does_not_go_on_without_one(
    tmp_path: Path,
    begun: dict[str, Any],  # noqa: F811 - the fixture
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path = tmp_path / "runs" / "old" / "ledger.db"
    with closing(Ledger(path)) as ledger:
        on_a_gpu = Choice(exam="transformers", sample="transformers", device="cuda")
        ledger.set_about(engines=on_a_gpu.model_dump_json())
    monkeypatch.setattr(engine_choice, "cuda", lambda: False)
    with pytest.raises(CannotContinue, match="engine transformers on cuda, which does not run here: torch sees no GPU"):
        go(tmp_path, begun, calls=8)


def test_a_run_that_began_on_a_cpu_stays_there(tmp_path: Path, gpu: None) -> None:
    choice = Choice(exam="transformers", sample="transformers", device="cpu")
    engine = engine_choice._opened(choice, EngineContext(Artefacts(tmp_path), tmp_path, {}), True)
    assert engine._asked_device == "cpu"  # type: ignore[attr-defined]  # of this engine
    engine.close()
    assert choice.named() == "transformers"


def test_what_is_chosen_on_a_cpu_says_so_where_the_engine_could_run_on_a_gpu(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine_choice, "cuda", lambda: False)
    store = Artefacts(tmp_path / "store")
    digest = store.put(make_gpt2(tmp_path / "gpt2", kind="gpt2"))
    base = Policy(weights=Weights(place="artefact", digest=digest)).identified()
    choice = engine_choice.choose(plan({"recipe": "rest_em", "model": "scripted"}), base, store, print)
    assert (choice.exam, choice.device) == ("transformers", "cpu")


def test_a_choice_of_before_there_were_devices_is_read_as_it_was(tmp_path: Path) -> None:
    assert Choice.model_validate_json('{"exam":"native","sample":"openvino","precision":"bf16"}').device is None


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("NVIDIA H100 80GB HBM3", "NVIDIA H100 80GB HBM3: training and the engine transformers use it"),
        ("Apple MPS", "Apple MPS"),
        (None, "none that torch can use"),
    ],
)
def test_doctor_says_the_gpu_and_what_uses_it(name: str | None, line: str, capsys: Any) -> None:
    found = doctor.facts(measure=False)
    doctor._print({**found, "gpu": name})
    assert f"gpu         {line}\n" in capsys.readouterr().out
