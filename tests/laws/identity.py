"""Identities of today, to be the same for ever: examples of every kind of record and operator, and what they hash to.

``identity.json`` was made by the instar of its ``made_by``. ``python -m tests.laws.identity`` adds what is new (a kind,
an operator, a recipe, an example written below); it refuses to change what is there.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from instar.app.configs.build import build_op
from instar.app.configs.config import plan
from instar.app.configs.config_file import PRESETS, read
from instar.app.configs.registry import BUILT_IN
from instar.protocols import Op
from instar.recipes import RECIPES
from instar.records import KINDS, Message, Policy, Sampling, canonical_json, hash_of, mint
from instar.records.exchange import border_key
from instar.run.generate import ask_hash
from instar.run.keys import ask_key, at_hand, call_key, seed_of, set_seed, step_key
from instar.scripted_world import weights_of
from instar.store.artefacts import Artefacts

PINNED = Path(__file__).with_name("identity.json")


def _digest(kind: str, fields: Mapping[str, Any]) -> str:
    return KINDS[kind].model_validate_json(json.dumps(fields)).digest


def _policy(fields: Mapping[str, Any]) -> str:
    return Policy.model_validate_json(json.dumps(fields)).identified().id


def _op(given: Mapping[str, Any]) -> str:
    return build_op(Op, given, where="op").op_id


def _asked(messages: Sequence[Any], n: int, sampling: Mapping[str, Any], policy: str, precision: str) -> str:
    return ask_hash([Message(**m) for m in messages], n, Sampling(**sampling), policy, precision)


def _config(target: str, *sets: str) -> str:
    return plan(read(target, sets)).digest()


def _config_ops(target: str, *sets: str) -> list[list[str]]:
    return sorted([o.name, o.op_id] for o in plan(read(target, sets)).ops())


def _artefact(files: Mapping[str, str]) -> str:
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "made"
        for name, text in files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text)
        return Artefacts(Path(place) / "store").put(folder, about={"model": "left out"})


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "canonical_json": canonical_json,
    "hash_of": hash_of,
    "mint": mint,
    "digest": _digest,
    "policy": _policy,
    "op": _op,
    "asked": _asked,
    "ask_key": ask_key,
    "border_key": border_key,
    "call_key": call_key,
    "step_key": step_key,
    "at_hand": at_hand,
    "seed_of": seed_of,
    "set_seed": set_seed,
    "scripted_weights": lambda skills: weights_of(skills).digest,
    "artefact": _artefact,
    "config": _config,
    "config_ops": _config_ops,
}
"""What gives an identity. An entry of the file says which, of what, and what it gave."""

# --- records: one with as little as it takes, one with everything -----------------------------------------------------

USER, REPLY = {"role": "user", "content": "2+2?"}, {"role": "assistant", "content": "Answer: 4"}
ARTEFACT = {"place": "artefact", "digest": "ab" * 32, "name": "smollm2-135m"}
SCRIPTED = {"place": "scripted", "digest": "i1:w", "name": "scripted", "skills": {"add": 0.3, "multiply": 0.25}}
EXAM = {"suite": "sealed", "solve": "i1:s", "judge": "i1:j", "engine": "native", "precision": "f32", "items": "i1:x",
        "n": 2}  # fmt: skip
COOL = {"temperature": 0.7, "top_k": 40, "top_p": 0.95, "max_tokens": 48}
PLAIN_ANSWER = {"task": "i1:t", "turns": [{"text": "Answer: 4"}], "policy": "i1:p", "engine": "scripted",
                "precision": "exact", "sampling": {}, "finish": "stop"}  # fmt: skip
ANSWER = {
    **PLAIN_ANSWER,
    "turns": [
        {"kind": "draft", "text": "Answer: 5", "train": False},
        {"kind": "critique", "text": "no: é \u2028 \U0001f600", "token_ids": None, "train": False},
        {"kind": "tool_call", "text": "```python\n2+2\n```", "token_ids": [7, 8]},
        {"kind": "tool_result", "text": "4", "train": False},
        {"kind": "partner", "text": "and?", "train": False},
        {"kind": "assistant", "text": "Answer: 4", "token_ids": [1, 2, 3]},
    ],
    "sampling": COOL, "finish": "length", "strategy": "grounded", "polarity": "right", "memories": ["i1:m"],
    "flags": ["rationalised", "unresolved"], "prompt_tokens": 11, "tokens": 5,
}  # fmt: skip
SAID = {"text": "Answer: 4", "finish": "stop", "policy": "i1:p", "engine": "native", "precision": "f32"}
THERE = {"exchange": "i1:e", "reply": 1, "chars": 9, "learn": "plainly"}
READ = {"reader": "i1:r", "ids": [1, 2, 3]}
INTERVAL = {"value": 0.5, "low": 0.1, "high": 0.9, "n": 2}
VITALS = {
    "n": 8, "tasks": 2, "score": 0.5, "parse_rate": 1.0, "vote_margin": 0.25, "vote_accuracy": 0.75,
    "answer_entropy": 0.5, "distinct_1": 0.125, "distinct_2": 0.3, "vendi": 1.5, "length_mean": 12.5,
    "length_p95": 20.0,
}  # fmt: skip
TOOL = {"name": "calculator", "about": "arithmetic",
        "parameters": {"type": "object", "properties": {"expression": {"type": "string"}}}}  # fmt: skip
CALLING = [
    {**USER, "tools": [TOOL]},
    {"role": "assistant", "content": "I add.", "calls": [{"name": "calculator", "arguments": {"expression": "2+2"}}]},
    {"role": "user", "content": "4", "result_of": "calculator"},
]
RECORDS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "task": (
        {"messages": [USER], "ability": "add", "canonical": "arith:2+2", "source": "jsonl/x"},
        {
            "messages": [{"role": "system", "content": "Be brief."}, USER, REPLY, {"role": "user", "content": "½?"}],
            "ability": "add", "canonical": "arith:2+2", "source": "jsonl/x", "difficulty": 0.5, "objective": "i1:o",
            "private": {"answer": "4", "checker": "auto", "tests": [1, 2.5, None, True], "names": {"b": 1, "a": 2}},
        },
    ),
    "solution": (PLAIN_ANSWER, ANSWER),
    "feedback": (
        {"solution": "i1:s", "score": None, "mark": "unscored", "source": "judge"},
        {"solution": "i1:s", "score": 1.0, "mark": "right", "source": "execution", "comment": "4 of 4 tests",
         "answer": "4", "evidence": {"passed": 4, "output": "ok\n", "seconds": 0.25, "votes": {"4": 3}}},
    ),
    "decision": (
        {"item": "i1:s", "kept": False, "reason": ""},
        {"item": "i1:s", "kept": True, "reason": "right: score 1"},
    ),
    "objective": (
        {"ability": "add"},
        {"ability": "add", "direction": "guard", "metric": "mean@8", "target": 0.5, "tasks": 10, "expires": 2,
         "parent": "all", "reason": "room to learn"},
    ),
    "policy": (
        {"weights": {"place": "artefact", "digest": "i1:w"}},
        {"weights": SCRIPTED, "adapters": {"judge": "i1:a", "self": "i1:b"}, "system": "Be brief.",
         "few_shots": [USER, REPLY], "memory": "i1:root", "parent": "i1:p", "made_by": "sft"},
    ),
    "exam": ({**EXAM, "n": 1}, EXAM),
    "report": (
        {"policy": "i1:p", "exam": EXAM, "outcomes": [], "metrics": {}},
        {
            "policy": "i1:p", "exam": EXAM, "metrics": {"mean@1": INTERVAL, "pass@2": INTERVAL},
            "abilities": {"add": {"mean@1": INTERVAL}},
            "outcomes": [
                {"task": "i1:t", "ability": "add", "gold": "4", "marks": ["right", "invalid"], "answers": ["4", None],
                 "tokens": [3, 4]},
                {"task": "i1:u", "ability": "add", "gold": None, "marks": ["wrong", "unscored"], "answers": ["5", "6"],
                 "tokens": [0, 1]},
            ],
        },
    ),
    "verdict": (
        {"incumbent": "i1:a", "candidate": "i1:b", "incumbent_report": "i1:c", "candidate_report": "i1:d",
         "promoted": False, "checks": [], "reason": ""},
        {"incumbent": "i1:a", "candidate": "i1:b", "incumbent_report": "i1:c", "candidate_report": "i1:d",
         "promoted": True, "reason": "a gain",
         "checks": [{"name": "gain", "passed": True, "numbers": {"low": 0.01, "p": None}, "reason": "above 0"}]},
    ),
    "health": (
        {"policy": "i1:p", "train": {"n": 0}, "kept": 0},
        {
            "policy": "i1:p", "train": VITALS, "abilities": {"add": {"n": 4, "vendi": 0.5}}, "kept": 4,
            "dev_before": 0.25, "dev_after": 0.5, "parse_before": 0.75, "parse_after": 1.0, "gain_read_twice": 0.125,
            "newly_right": 3, "newly_wrong": 1,
            "alarms": [{"name": "length_drifting", "raised": True, "numbers": {"mean": None, "limit": 1.5},
                        "reason": "longer"}],
        },
    ),
    "plant": ({"worth": "good", "solution": PLAIN_ANSWER}, {"worth": "wrong_reason", "solution": ANSWER}),
    "exchange": (
        {"call": "i1:c", "turn": 0, "ask": "i1:a", "policy": "i1:p", "engine": "native", "precision": "f32",
         "replies": [SAID]},
        {
            "call": "i1:c", "turn": 2, "ask": "i1:a", "policy": "i1:p", "engine": "native", "precision": "f32",
            "replies": [SAID, {**SAID, "finish": "length", "token_ids": [7, 8], "prompt_tokens": 3, "tokens": 2,
                               "prompt": READ, "said": THERE}],
            "role": "judge", "messages": [USER, REPLY, {"role": "user", "content": "½?"}], "sampling": COOL,
            "seed": 19088743, "weights": "i1:w", "prompt": READ,
        },
    ),
    "result": (
        {"policies": {}},
        {"policies": {"base": "i1:p", "final": "i1:q", "control: c": "i1:k"}, "base": {"sealed": "i1:r"},
         "final": {"sealed": "i1:s"}, "controls": {"c": {"sealed": "i1:t"}},
         "procedures": {"self_refine": {"sealed, self_refine": "i1:u"}}, "tokens": 7, "seconds": 1.5},
    ),
    "note": (
        {"text": "My cat is called Miso."},
        {"what": "insight", "text": "½?", "made_from": ["i1:t", "i1:s"], "when": 3.0, "who": "anna",
         "trust": "verified"},
    ),
    "preference": (
        {"task": "i1:t", "chosen": "i1:a", "rejected": "i1:b", "why": "contrastive", "reason": ""},
        {"task": "i1:t", "chosen": "i1:a", "rejected": "i1:b", "why": "order", "reason": "scored 1 beside 0.2"},
    ),
    "likelihood": (
        {"policy": "i1:p", "suite": "train", "engine": "native", "precision": "f32", "texts": []},
        {"policy": "i1:p", "suite": "guard:text", "engine": "native", "precision": "f32",
         "texts": [{"task": "i1:t", "tokens": 3, "nats": -1.5}, {"task": "i1:u", "tokens": 1, "nats": -0.25}]},
    ),
    "assessment": (
        {"verb": "judge", "op": "i1:o", "name": "rubric", "counts": {}, "numbers": {}, "trusted": False, "reason": ""},
        {"verb": "filter", "op": "i1:o", "name": "distinct", "policy": "i1:p", "trusted": True, "reason": "kappa 1",
         "counts": {"good": {"kept": 3}, "bad": {"dropped": 1}}, "numbers": {"precision": 1.0, "kappa": None}},
    ),
}  # fmt: skip

POLICIES: dict[str, dict[str, Any]] = {
    "of an artefact": {"weights": ARTEFACT},
    "scripted": {"weights": SCRIPTED},
    "with a system prompt": {"weights": ARTEFACT, "system": "Be brief."},
    "with an empty system prompt": {"weights": ARTEFACT, "system": ""},
    "with few-shots": {"weights": ARTEFACT, "few_shots": [USER, REPLY]},
    "with few-shots that call a tool": {"weights": ARTEFACT, "few_shots": [*CALLING, REPLY]},
    "with an adapter": {"weights": ARTEFACT, "adapters": {"judge": "i1:a"}},
    "with a memory": {"weights": ARTEFACT, "memory": "table@tag"},
    "with all of it": RECORDS["policy"][1],
}

# --- operators: as a config writes them. Those that stand here by name alone are added below -------------------------

SUMS = {"chain_sum": {"min_terms": 2, "max_terms": 2}, "products": {}}
NEEDED: dict[str, dict[str, Any]] = {
    "reasoning_gym": {"families": SUMS},
    "documents": {"folder": "/data/books"},
    "code_folder": {"folder": "/data/code"},
    "jsonl": {"path": "/data/mine.jsonl"},
    "csv": {"path": "mine.csv"},
    "parquet": {"path": "/data/mine.parquet"},
    "hf_dataset": {"dataset": "openai/gsm8k", "split": "train"},
    "random_sample": {"n": 5},
    "mcp": {"tool": "add", "command": ["python", "/srv/numbers.py"]},
    "gymnasium": {"id": "Taxi-v4", "asks": "Drive."},
    "verifiers": {"module": "games"},
    "textarena": {"id": "GuessTheNumber-v0"},
    "not": {"inner": "score_at_least"},
    "adaptive": {"stop_after_right": 1},
    "cleaned": {"inner": {"op": "reasoning_gym", "families": SUMS}},
    "prompted": {"inner": {"op": "csv", "path": "mine.csv"}},
    "rows": {"path": "/data/mine.json"},
    "corrected": {"correct": "self_refine"},
    "self_debug": {"tests": {"op": "execution", "tests": "visible"}},
    "code_jsonl": {"path": "/data/code.jsonl"},
    "play": {"environment": "guess_number"},
    "outcome": {"environment": "guess_number"},
    "step_credit": {"inner": "verify"},
    "reconsult": {"consult": "consult"},
    "group": {"environment": "guess_number"},
}
"""What an operator cannot be made without."""
NESTED: dict[str, dict[str, Any]] = {
    "not, of another filter": {"op": "not", "inner": {"op": "margin_at_least", "minimum": 0.5}},
    "not, of itself": {"op": "not", "inner": {"op": "not", "inner": "finished"}},
    "jsonl, in another folder": {"op": "jsonl", "path": "/elsewhere/mine.jsonl"},
    "jsonl, of four files": {"op": "jsonl", "train": "/a/t.jsonl", "dev": "d.jsonl", "gate": "g.jsonl", "sealed": "s"},
    "verify, by another checker": {"op": "verify", "checker": "math"},
    "sample, with everything set": {"op": "sample", "samples": 3, "sampling": COOL},
    "adaptive, by votes": {"op": "adaptive", "stop_when_decided": True, "judge": "vote", "batch": 2,
                           "sampling": {"temperature": 0.5}},
    "corrected, three deep": {"op": "corrected", "draft": {"op": "sample", "sampling": COOL},
                              "correct": {"op": "self_debug", "tests": {"op": "execution", "tests": "visible"}}},
    "cleaned, of a file": {"op": "cleaned", "inner": {"op": "csv", "path": "mine.csv"}},
    "prompted, with shots": {
        "op": "prompted", "inner": {"op": "rows", "path": "mine.json", "layout": "choices", "first": 1},
        "template": "Q: {question}", "shots": [{"question": "1 + 1?", "answer": "2"}],
    },
    "sft, with other settings": {"op": "sft", "epochs": 3, "learning_rate": 1e-4, "recompute": True},
    "grpo, with other settings": {"op": "grpo", "prompts": 4, "beta": 0.04, "epsilon_high": 0.28},
    "paired_gate, that guards": {"op": "paired_gate", "guarded": ["add", "sub"], "minimum_effect": 0.01},
    "paired_gate, that guards nothing": {"op": "paired_gate", "guarded": []},
    "rubric, with other settings": {"op": "rubric", "samples": 3, "sampling": COOL},
}  # fmt: skip

# --- keys, seeds, asks ------------------------------------------------------------------------------------------------

CALL = "i1:0123456789abcdef0123456789abcdef"
EXAMPLES: dict[str, tuple[str, list[Any]]] = {
    "json: sorted, unspaced, unescaped": ("canonical_json", [{"b": [1, 2.5, -0.0, 1e22, None, True], "a": "é\u2028"}]),
    "hash: of nothing": ("hash_of", ["tag"]),
    "hash: of all sorts": ("hash_of", ["tag", "a", 1, 0.1, None, [], {"k": [True]}, "\u4e2d\U0001f600"]),
    "hash: of half a character": ("hash_of", ["tag", "\ud83d"]),
    "mint: of nothing": ("mint", ["solution", "i1:op", [], 0, 0]),
    "mint: in a round": ("mint", ["feedback", "i1:op", ["i1:a", "i1:b"], 3, 7]),
    "asked: plainly": ("asked", [[USER], 1, {}, "i1:p", "exact"]),
    "asked: with a system prompt and few-shots": (
        "asked", [[{"role": "system", "content": "Be brief."}, USER, REPLY, USER], 8, COOL, "i1:p", "bf16"],
    ),
    "asked: greedily": ("asked", [[USER], 1, {"temperature": 0.0, "max_tokens": 48}, "i1:p", "f32"]),
    "asked: with tools": ("asked", [CALLING, 1, {}, "i1:p", "exact"]),
    "ask key: of the policy": ("ask_key", [CALL, 0]),
    "ask key: of its third turn": ("ask_key", [CALL, 2]),
    "ask key: of the judge": ("ask_key", [CALL, 0, "judge"]),
    "ask key: in a branch": ("ask_key", [CALL, 0, "self", "1"]),
    "border key: in no branch": ("border_key", [CALL, "tool", 0]),
    "border key: in a branch": ("border_key", [CALL, "tool", 0, "1"]),
    "call key: of no policy": ("call_key", [1, 0, "i1:op", [], "i1:item"]),
    "call key: of two policies": ("call_key", [7, 2, "i1:op", ["solve", "judge=i1:j", "i1:p"], "i1:item"]),
    "step key: of nothing": ("step_key", [1, 0, "exam", "i1:op", [], []]),
    "step key: of items in order": ("step_key", [7, 2, "solve", "i1:op", ["i1:p", "judge=i1:j"], ["i1:b", "i1:a"]]),
    "at hand: who plays which role": ("at_hand", [{"self": "i1:p", "judge": "i1:j"}]),
    "seed: of a key": ("seed_of", [CALL]),
    "seed: of a key with the highest bit": ("seed_of", ["i1:ffffffffffffffffffffffffffffffff"]),
    **{f"seed: of the set {name}": ("set_seed", [1, name]) for name in ("train", "dev", "gate", "sealed")},
    "seed: of another run's train": ("set_seed", [20260101, "train"]),
    "seed: of a suite": ("set_seed", [20260101, "guard:sums"]),
    "weights: a table of skills": ("scripted_weights", [{"multiply": 0.1234567891234, "add": 1}]),
    "artefact: a folder": ("artefact", [{"config.json": "{}", "sub/x.txt": "é"}]),
    **{f"record: {k}, the least": ("digest", [k, least]) for k, (least, _) in RECORDS.items()},
    **{f"record: {k}, everything": ("digest", [k, most]) for k, (_, most) in RECORDS.items()},
    "record: a solution that knows where it was said": (
        "digest",
        ["solution", {**PLAIN_ANSWER, "turns": [{"text": "Answer: 4", "said": THERE}]}],
    ),
    "record: an exam with other roles": ("digest", ["exam", {**EXAM, "n": 1, "roles": {"partner": "i1:p"}}]),
    "record: a policy that acts with an adapter": (
        "digest",
        ["policy", {"weights": {"place": "artefact", "digest": "i1:w", "adapter": "i1:a"}}],
    ),
    "record: an exchange with an adapter": (
        "digest",
        ["exchange", {**RECORDS["exchange"][0], "replies": [{**SAID, "adapter": "i1:a"}]}],
    ),
    "record: an exchange with tools": ("digest", ["exchange", {**RECORDS["exchange"][0], "messages": CALLING}]),
    "record: a task of a day and a person": ("digest", ["task", {**RECORDS["task"][0], "when": 3.0, "who": "anna"}]),
    "record: an exchange in a branch": ("digest", ["exchange", {**RECORDS["exchange"][0], "branch": "1"}]),
    "record: a task with an id": ("digest", ["task", {"id": "i1:left-out", **RECORDS["task"][0]}]),
    **{f"policy: {k}": ("policy", [fields]) for k, fields in POLICIES.items()},
    **{f"operator: {c.name}": ("op", [{"op": c.name, **NEEDED.get(c.name, {})}]) for c in BUILT_IN},
    **{f"operator: {k}": ("op", [given]) for k, given in NESTED.items()},
    **{f"config: {name}": ("config", [name, "model=scripted"]) for name in (*RECIPES, *PRESETS)},
    "config: with a suite": (
        "config", ["rest_em", "suites.guard:own.size=9", "suites.guard:own.tasks.op=jsonl",
                   "suites.guard:own.tasks.path=/data/own.jsonl"],
    ),
    "config: with shots": ("config", ["rest_em", 'shots=[{question="2+2?", answer="4"}]']),
    "config: with a memory": ("config", ["rest_em", "memory=mine"]),
    "config: with an engine's precision": ("config", ["rest_em", 'engine_options.exam_precision="bf16"']),
    **{f"operators of: {name}": ("config_ops", [name, "model=scripted"]) for name in (*RECIPES, *PRESETS)},
}  # fmt: skip


def pinned() -> dict[str, dict[str, Any]]:
    """Name to what the file says: ``of`` (one of ``FUNCTIONS``), what it was ``given``, what it ``is``."""
    found: dict[str, dict[str, Any]] = json.loads(PINNED.read_text())["identities"]
    return found


def now(of: str, given: Sequence[Any]) -> Any:
    """What it is today."""
    return json.loads(json.dumps(FUNCTIONS[of](*given)))


def moved(entries: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """One sentence for every identity that is another today."""
    out = []
    for name, e in entries.items():
        try:
            is_now = now(e["of"], e["given"])
        except Exception as error:
            out.append(f"{name}: cannot be made any more: {type(error).__name__}: {error}")
            continue
        if is_now != e["is"]:
            out.append(
                f"{name}: was {e['is']}, is {is_now}; a ledger made before would no longer be read as what it is"
            )
    return out


def added(entries: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """The entries with the examples that are not among them yet. Raises ValueError when one that is has changed."""
    wrong = moved(entries)
    for name, (of, given) in EXAMPLES.items():
        said = entries.get(name)
        if said and (of, json.loads(json.dumps(given))) != (said["of"], said["given"]):
            wrong.append(f"{name}: another example has this name")
    if wrong:
        raise ValueError("\n".join(["identity is frozen; nothing is written", *wrong]))
    new = {
        n: {"of": of, "given": given, "is": now(of, given)} for n, (of, given) in EXAMPLES.items() if n not in entries
    }
    return {**entries, **new}


def main() -> None:
    """Add what is new to the file."""
    file = json.loads(PINNED.read_text()) if PINNED.exists() else {"made_by": sys.argv[1], "identities": {}}
    known = file["identities"]
    file["identities"] = added(known)
    PINNED.write_text(json.dumps(file, indent=1, ensure_ascii=True) + "\n")
    print(f"{len(file['identities']) - len(known)} added, {len(file['identities'])} in all")


if __name__ == "__main__":
    main()
