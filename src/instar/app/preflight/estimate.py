"""What a plan will cost, before it runs: calls, tokens, time, disk. Rough, and it says what it rests on."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

from instar.app.configs.config import Plan
from instar.app.storage.paths import runs_folder
from instar.errors import StoreError
from instar.records import Task
from instar.store.door import open_ledger
from instar.store.refusal import is_of_database
from instar.update.weights.grpo import Grpo

TOKENS_A_SAMPLE = 0.5  # share of max_tokens that an answer takes, when no earlier run tells
SAMPLING_RATE = 1000.0  # generated tokens a second, when no earlier run tells (docs/log/ has measurements)
TRAINING_RATE = 400.0  # trained tokens a second, likewise
PROMPT = 60  # tokens of a prompt, roughly
POLICY_GB = 0.55  # one saved full-weight policy of the small model
CHECKERS = 2  # processes that check answers
PEAK_GB = 2.2  # a training checkpoint beside it


def estimate(
    plan: Plan, drawn: Mapping[str, Sequence[Task]] = MappingProxyType({}), check_seconds: float = 0.0
) -> dict[str, Any]:
    """An estimate for one run of this plan, with the source of the rates. ``drawn``: its tasks, where they are there:
    only then is it known how many a suite has that is a whole file. ``check_seconds``: of one check of an answer, where
    it was timed."""
    s, sizes, rounds = plan.settings, plan.run.sizes, plan.settings.rounds
    solve, exam = getattr(s, "solve", None), getattr(s, "exam", None)
    samples = int(getattr(getattr(s, "attempt", None), "most", getattr(solve, "samples", 1)))
    per_round = _a_round(plan)
    dev = (rounds + 1) * sizes.dev * getattr(getattr(s, "dev_exam", exam), "samples", 1)
    exams = rounds * 2 * sizes.gate + (2 + bool(getattr(s, "control", False))) * sizes.sealed + dev
    exams += (2 + bool(getattr(s, "control", False))) * sum(
        x.size or len(drawn.get(n, ())) for n, x in plan.run.suites.items()
    )
    hints = rounds * per_round if getattr(s, "hint", None) else 0  # at most: one for each task that is missed
    calls = rounds * per_round + hints + exams
    sample_tokens = max_tokens(solve) * TOKENS_A_SAMPLE
    exam_tokens = max_tokens(getattr(exam, "solve", None)) * TOKENS_A_SAMPLE
    tokens = (rounds * per_round * samples + hints) * sample_tokens + exams * exam_tokens
    # a round trains on what was kept in it and in all before it; the control once more on as many as the last
    kept = per_round * 0.6 * (rounds * (rounds + 1) / 2 + (rounds if getattr(s, "control", False) else 0))
    examples = kept * getattr(getattr(s, "train", None), "epochs", 1)
    trained = examples * (PROMPT + sample_tokens)
    loads = rounds
    if isinstance(train := getattr(s, "train", None), Grpo):
        # every answer, as often as there are iterations; groups without signal are not known beforehand
        examples = rounds * per_round * samples * train.iterations
        trained = examples * (PROMPT + sample_tokens)
        loads = rounds * math.ceil(per_round / train.prompts)
    rates, source = _rates(plan.run.model)
    scripted = plan.run.model == "scripted"
    seconds = 0.0 if scripted else tokens / rates["generate"] + trained / rates["train"] + 12.0 * loads
    answers = rounds * per_round * samples + hints + exams * getattr(getattr(exam, "solve", None), "samples", 1)
    checks = answers * check_seconds / CHECKERS
    policies = 0 if scripted else rounds + bool(getattr(s, "control", False))
    return {
        "calls": int(calls),
        "answers": int(answers),
        "trained_examples": int(examples),
        "tokens": int(tokens),
        "trained_tokens": 0 if scripted else int(trained),
        "check_seconds": round(checks),
        "seconds": round(seconds + checks),
        "disk_gb": round(policies * POLICY_GB + (PEAK_GB if policies else 0.02), 2),
        "rests_on": source,
    }


def agenda(plan: Plan, drawn: Mapping[str, Sequence[Task]], check_seconds: float = 0.0) -> dict[str, Any]:
    """What a run has to do, in tasks, as ``report.pace.whole`` wants it: stored with the run, so that whoever looks on
    can say how long all of it may still take."""
    s, sizes, rounds = plan.settings, plan.run.sizes, plan.settings.rounds
    solve, exam = getattr(s, "solve", None), getattr(s, "exam", None)
    samples = int(getattr(getattr(s, "attempt", None), "most", getattr(solve, "samples", 1)))
    controls = int(bool(getattr(s, "control", False)))
    dev = sizes.dev * getattr(getattr(s, "dev_exam", exam), "samples", 1)
    suites = sum(x.size or len(drawn.get(n, ())) for n, x in plan.run.suites.items())
    cost = estimate(plan, drawn, check_seconds)
    rates, _ = _rates(plan.run.model)
    examples = cost["trained_tokens"] / max(1, rounds + controls)
    return {
        "rounds": rounds,
        "solve": _a_round(plan),
        "round_exam": 2 * sizes.gate + dev,
        "end_exam": (2 + controls) * (sizes.sealed + suites),
        "controls": controls,
        "samples": samples,
        "exam_samples": int(getattr(getattr(exam, "solve", None), "samples", 1)),
        "training": examples / rates["train"],
        "checking": check_seconds * samples / CHECKERS,
    }


def _a_round(plan: Plan) -> int:
    """Tasks of a round: full_loop takes them from one pool, and some recipes have them made."""
    s = plan.settings
    return int(getattr(s, "made_a_round", getattr(s, "per_round", plan.run.sizes.train)))


def max_tokens(op: Any) -> float:
    """Of one answer of an operator that samples; 48 where it does not say."""
    return float(getattr(getattr(op, "sampling", None), "max_tokens", 48))


def _rates(model: str) -> tuple[dict[str, float], str]:
    """Tokens a second from the newest finished run of the same model here, else from the project's own log."""
    rates = {"generate": SAMPLING_RATE, "train": TRAINING_RATE}
    found = sorted(runs_folder().glob("*/ledger.db"), key=lambda p: p.stat().st_mtime, reverse=True)
    for path in found[:20]:
        try:
            spans = _spans(path, model)
        except Exception as e:
            if isinstance(e, (StoreError, ValueError, KeyError)) or is_of_database(e):
                continue  # a damaged ledger says nothing about speed, and is no reason not to run
            raise
        if spans is None:
            continue
        for phase in rates:
            seconds = sum(s["seconds"] for s in spans if s["phase"] == phase)
            tokens = sum(s["tokens"] for s in spans if s["phase"] == phase)
            if seconds > 5 and tokens:
                rates[phase] = tokens / seconds
        return rates, f"the speeds of the run {path.parent.name}"
    return rates, "speeds measured on the machine this project was built on; yours may differ by a factor of three"


def _spans(path: Path, model: str) -> list[dict[str, Any]] | None:
    """Where the seconds of a finished run of this model went; None for any other run."""
    ledger = open_ledger(path)
    try:
        about = ledger.about()
        if "result" not in about or json.loads(about["resolved"]).get("model") != model:
            return None
        return ledger.rows("spans")
    finally:
        ledger.close()
