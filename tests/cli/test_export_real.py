"""Exports of the real model: plain transformers scores the same on the exam, llama.cpp says the same words."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from instar.app.review.examine import suite_of_run
from instar.app.storage.paths import home
from instar.store.ledger import Ledger
from tests.cli.llama_cpp import LlamaCpp

pytestmark = pytest.mark.slow

TINY = (
    "rounds=1", "sizes.train=8", "sizes.gate=8", "sizes.sealed=10", "solve.samples=4", "solve.sampling.max_tokens=24",
    "exam.solve.sampling.max_tokens=24", "control=false", "train.epochs=1", "right.minimum=0.0",
)  # fmt: skip


def instar(runs: Path, *args: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "instar.cli", *args], capture_output=True, text=True, cwd=runs.parent, timeout=1200,
        env={**os.environ, "INSTAR_RUNS": str(runs), "INSTAR_HOME": str(home())}, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A run on the real model, and the policy it trained (promoted or not: these tests are of exports)."""
    runs = tmp_path_factory.mktemp("real") / "runs"
    sets = [x for s in TINY for x in ("--set", s)]
    instar(runs, "run", "demo", "--name", "real", "--quiet", *sets)
    ledger = Ledger.read(runs / "real" / "ledger.db")
    candidate = next(p.id for p in ledger.records("policy") if getattr(p, "parent", None))
    return runs, f"real:{candidate.split(':')[1][:8]}"


PLAIN = """
import json, sys
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer
folder, asked = sys.argv[1], json.load(open(sys.argv[2]))
tokenizer = AutoTokenizer.from_pretrained(folder)
model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
out = []
for messages in asked:
    text = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    ids = tokenizer(text, add_special_tokens=False, return_tensors="pt")
    with torch.no_grad():
        made = model.generate(**ids, max_new_tokens=24, do_sample=False)
    out.append(tokenizer.decode(made[0, ids["input_ids"].shape[1]:], skip_special_tokens=True))
assert "instar" not in sys.modules
print(json.dumps(out))
"""


def test_the_exported_folder_scores_the_same_with_plain_transformers(
    trained: tuple[Path, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs, policy = trained
    monkeypatch.setenv("INSTAR_RUNS", str(runs))
    out = tmp_path / "items.jsonl"
    said = json.loads(
        instar(runs, "evaluate", policy, "--engine", "transformers", "--json", "--quiet", "--outcomes", str(out))
    )["policies"][0]
    told = json.loads(instar(runs, "export", policy, str(tmp_path / "hf"), "--json"))
    assert "model.safetensors" in told["files"]
    suite = suite_of_run(runs / "real")
    system = {"role": "system", "content": suite.config.system}
    asked = [[system, {"role": "user", "content": t.question}] for t in suite.tasks]
    (tmp_path / "asked.json").write_text(json.dumps(asked))
    env = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    command = [sys.executable, "-c", PLAIN, str(tmp_path / "hf"), str(tmp_path / "asked.json")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=900, env=env)
    assert done.returncode == 0, done.stderr
    texts: list[str] = json.loads(done.stdout)
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    right = [_right(text, row) for text, row in zip(texts, rows, strict=True)]
    print(f"engine {said['metrics']['mean@1']['value']:.4f}, plain transformers {sum(right) / len(right):.4f}")
    assert said["exam"]["engine"] == "transformers"
    assert sum(right) / len(right) == said["metrics"]["mean@1"]["value"]


def test_the_gguf_says_in_llama_cpp_what_the_policy_says(
    trained: tuple[Path, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs, policy = trained
    monkeypatch.setenv("INSTAR_RUNS", str(runs))
    suite = suite_of_run(runs / "real")
    questions = [" ".join(t.question.split()) for t in suite.tasks]
    mine = _alone(runs, policy, questions)
    instar(runs, "export", policy, "--gguf", str(tmp_path / "m.gguf"), "--gguf-type", "F32")
    system = {"role": "system", "content": str(suite.config.system)}
    chats = [[system, {"role": "user", "content": q}] for q in questions]
    theirs = LlamaCpp(tmp_path / "m.gguf").answers(chats, 24)
    agreed = sum(a.strip() == b.strip() for a, b in zip(mine, theirs, strict=True))
    print(f"llama.cpp agrees on {agreed} of {len(questions)} greedy texts")
    assert agreed >= 9, list(zip(mine, theirs, strict=True))  # a near-tie may flip
    assert len(set(mine)) > 5
    (tmp_path / "m.gguf").unlink()


def _alone(runs: Path, policy: str, questions: list[str]) -> list[str]:
    """The policy's greedy reply to each question, each asked by itself."""
    text = "\n/new\n".join(questions) + "\n"
    done = subprocess.run(
        [sys.executable, "-m", "instar.cli", "chat", policy, "--engine", "transformers", "--json", "--quiet",
         "--max-tokens", "24"], input=text, capture_output=True, text=True, timeout=900, check=False,
        env={**os.environ, "INSTAR_RUNS": str(runs), "INSTAR_HOME": str(home())},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return [json.loads(line)["reply"] for line in done.stdout.splitlines()]


def _right(text: str, row: dict[str, Any]) -> bool:
    """The exam's own rule, on one text."""
    from instar.acquire.feedback.checkers import number
    from instar.extract import extract

    found = extract(text, "auto", row["gold"])
    return found is not None and number(found) == number(row["gold"])
