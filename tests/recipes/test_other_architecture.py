"""A model that is no Llama, from tasks to a promoted policy, on the transformers engine, as a user would start it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from instar.app.host import engine_choice
from instar.app.weights.models import obtain
from instar.engines.native import build
from instar.model_folder.llama import ARCHITECTURE
from instar.store.artefacts import Artefacts
from tests.engines.architectures import make_other
from tests.engines.tiny import make_model
from tests.recipes.scripted import instar

SETS = (
    "engine=transformers", "engine_options.device=cpu", "rounds=1", "system=none", "tasks.op=jsonl",
    "sizes.train=30", "sizes.gate=30", "sizes.sealed=30", "solve.samples=32", "solve.sampling.temperature=1.0",
    'keep=[{op="per_task_cap", at_most=8}]',
    "solve.sampling.max_tokens=2", "exam.solve.sampling.max_tokens=2", "train.epochs=16",
    "train.learning_rate=0.003", "train.batch_size=8", "gate.guarded=[]",
)  # fmt: skip
"""Two tokens, so that an answer kept is little else than the 7: with 16, what was kept was chance, and so was the
gate's verdict (refused in CI, promoted here)."""


def questions(path: Path) -> Path:
    """Each has the answer 7: a model of 24 words finds it by chance, and two layers can learn it in seconds."""
    rows = [{"question": f"what is {a} {b} ?", "answer": 7} for a in range(15) for b in range(15)]
    path.write_text("".join(json.dumps(r) + "\n" for r in rows))
    return path


@pytest.mark.parametrize("kind", ["gpt_neox", pytest.param("gemma2", marks=pytest.mark.slow)])
def test_a_model_that_is_no_llama_goes_from_tasks_to_a_promoted_policy(tmp_path: Path, kind: str) -> None:
    runs = tmp_path / "runs"
    model = make_other(tmp_path / "model", kind, initializer_range=0.05)
    options = [*SETS, f"model={model}", f"tasks.path={questions(tmp_path / 'sevens.jsonl')}"]
    done = instar(
        "run", "rest_em", "--name", "other", "--json", "--quiet", *[o for s in options for o in ("--set", s)],
        runs=runs, OMP_NUM_THREADS="1",
    )  # fmt: skip
    found = json.loads(done.stdout)
    print(json.dumps(found["sealed"]), found["seconds"])
    assert found["final"] != found["base"]
    assert found["sealed"]["engine"] == "transformers"
    assert found["sealed"]["precision"] == "f32"
    assert found["sealed"]["low"] > 0


def test_auto_is_the_first_engine_that_runs_the_weights_on_this_machine_and_has_the_options(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Artefacts(tmp_path / "artefacts")

    def engine_for(name: str, **options: Any) -> str:
        policy = obtain(name, home=tmp_path, artefacts=store, system=None, say=print)
        return engine_choice.engine_for(policy, store, options)

    assert ARCHITECTURE == "LlamaForCausalLM"
    assert engine_for("scripted") == "scripted"
    llama = str(make_model(tmp_path / "llama"))
    odd_heads = str(make_model(tmp_path / "odd", num_attention_heads=4))  # heads of 16 numbers
    neox = str(make_other(tmp_path / "neox", "gpt_neox"))
    # a Llama that neither of the first two can express
    scaled = {"rope_theta": 10000.0, "rope_type": "linear", "factor": 2.0}
    scaled_llama = str(make_model(tmp_path / "scaled", rope_parameters=scaled))
    for lacking, first in ((None, "native"), ("There is no C++ compiler.", "openvino")):
        monkeypatch.setattr(build, "why_not", lambda precision=None, says=lacking: says)
        assert engine_for(llama) == first
        assert engine_for(llama, cache_gb=1, exam_precision="f32") == first
        assert engine_for(llama, sample_precision="int8") == "openvino"
        assert engine_for(llama, device="cpu") == "transformers"
        assert engine_for(odd_heads) == "openvino"
        assert engine_for(neox) == engine_for(scaled_llama) == "transformers"
    monkeypatch.setattr(build, "why_not", lambda precision=None: "no AMX" if precision == "bf16" else None)
    assert engine_for(llama) == "native"  # both in f32
    assert engine_for(llama, sample_precision="bf16") == "openvino"
