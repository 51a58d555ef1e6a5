"""Every figure of a run derived again: reports from feedback, verdicts and the headline from reports.

Ids and digests (``store.verify``) say that a record is what was written. This says that what was written follows.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from math import isclose
from pathlib import Path
from typing import Any, cast

from instar.app.configs.build import build_op
from instar.app.configs.config import digest_of
from instar.app.configs.registry import ops
from instar.app.review.acting import acting
from instar.app.review.rows_shown import rows_as_shown
from instar.app.sessions.ending import named, result_record
from instar.app.sessions.headline import beside, figures, result_digest
from instar.app.sessions.procedures import compared
from instar.app.sessions.suites import derived as derived_suites
from instar.app.sessions.texts import derived as derived_texts
from instar.app.storage.paths import artefacts
from instar.app.weights.policies import reading
from instar.errors import InstarError, Redacted, StoreError
from instar.evaluate.intervals import whole_imaginary_items
from instar.evaluate.perplexity import PerplexityBudget
from instar.evaluate.report import make_report
from instar.protocols import Gate
from instar.recipes import RECIPES
from instar.records import (
    Experience,
    Feedback,
    Likelihood,
    Report,
    Result,
    Solution,
    Task,
    Verdict,
    hash_of,
    suite_kind,
)
from instar.run.keys import call_key
from instar.store.ledger import Ledger
from instar.store.readers import exams, policies, progress, rollouts
from instar.store.readers.likelihoods import likelihoods
from instar.store.verify import Tell, verify


@dataclass
class Verified:
    """What a verification found, and what it covers."""

    wrong: list[str]
    content: str | None = None
    """The ledger's content digest; None where too much is damaged to take it."""
    counts: dict[str, int] = field(default_factory=dict)
    """Records, calls and asks read; reports, verdicts and results derived again; verdicts of other packages' gates."""
    schema: str = ""
    """The schema version of the ledger."""
    rows: dict[str, int] = field(default_factory=dict)
    """The trained turns by how what was shown compares with what is learned: see ``app.review.rows_shown``."""
    digest: str = ""
    """How the result is covered: ``derived and digest``, ``derived`` (an older run), ``none`` (not finished)."""


NOT_COVERED = (
    "times, seconds, sessions, versions, budgets, operators' sources, the numbering of steps and the words of failed "
    "calls are as the ledger has them"
)


def verified(folder: Path, tell: Tell = lambda done, total, what: None) -> Verified:
    """Verify a run's ledger. Raises StoreError only where there is none, or it cannot even be opened."""
    with reading(folder) as ledger:
        found = Verified(verify(ledger, tell))
        if found.wrong:
            return found
        found.schema = ledger.about()["schema"]
        found.counts = progress.sizes(ledger)
        tell(0, 0, "figures")
        try:
            found.wrong += [
                *_noted(ledger),
                *_calls(ledger, found),
                *_rollouts(ledger),
                *_reports(ledger, found),
                *_verdicts(ledger, found),
                *_result(ledger, found),
            ]
            found.rows = rows_as_shown(ledger, artefacts())
        except InstarError as e:
            found.wrong.append(str(e))
        except Exception as e:  # fail closed, as in store.verify
            found.wrong.append(f"its figures make no sense ({type(e).__name__}: {str(e)[:200]})")
        tell(0, 0, "content")
        found.content = ledger.content_digest()
    return found


def difference(stored: Any, derived: Any, where: str = "") -> str | None:
    """The first place where what is stored is not what is derived, in words; floats may differ by rounding."""
    if isinstance(stored, Mapping) and isinstance(derived, Mapping):
        for k in stored:
            if k not in derived:
                return f"{where}{k} is not derived"
            if (found := difference(stored[k], derived[k], f"{where}{k}.")) is not None:
                return found
        return None
    if isinstance(stored, (list, tuple)) and isinstance(derived, (list, tuple)) and len(stored) == len(derived):
        each = (difference(a, b, f"{where}{i}.") for i, (a, b) in enumerate(zip(stored, derived, strict=True)))
        return next((d for d in each if d is not None), None)
    if isinstance(stored, float) and isinstance(derived, (int, float)) and not isinstance(derived, bool):
        same = isclose(stored, derived, rel_tol=1e-9, abs_tol=1e-9)
    else:
        same = stored == derived and isinstance(stored, bool) is isinstance(derived, bool)
    return None if same else f"{where.rstrip('.')} is {stored!r:.60}, and {derived!r:.60} is derived"


def _noted(ledger: Ledger) -> Iterator[str]:
    about = ledger.about()
    if "resolved" not in about or "config_digest" not in about:
        return
    resolved = json.loads(about["resolved"])
    if digest_of(resolved) != about["config_digest"]:
        yield "the config is not the one that the run was made with: its digest is another"
    for key in ("recipe", "seed"):
        if key in about and about[key] != str(resolved.get(key)):
            yield f"the {key} is noted as {about[key]!r} and is {resolved.get(key)!r} in the config"


def _calls(ledger: Ledger, found: Verified) -> Iterator[str]:
    """A call's key is a hash of its step, its item and the policies at hand: which those were, the first call tells."""
    about = ledger.about()
    steps = {s["key"]: s for s in ledger.rows("steps")}
    who = acting(ledger)
    at_hand: dict[str, list[str] | None] = {}
    for key, step, item in progress.calls(ledger):
        s = steps[step]
        if s["verb"] == "rollout":
            continue

        def derived(policies: Sequence[str], s: Mapping[str, Any] = s, item: str = item) -> str:
            return call_key(int(about.get("seed", 0)), s["round"], s["op"], [s["verb"], *policies], item)

        known = at_hand.get(step)
        if known is not None and derived(known) == key:
            continue
        at_hand[step] = next((p for p in who.in_step(step) if derived(p) == key), None)
        if at_hand[step] is None and (known is not None or about.get("recipe") in RECIPES):
            yield f"the call {key} of a {s['verb']} step should have another key by its item {item}"
    if lost := sum(policies is None for policies in at_hand.values()):
        found.counts["steps of other recipes not derived"] = lost


def _rollouts(ledger: Ledger) -> Iterator[str]:
    """The key of a rollout's call hangs on its update, which is known by its policy and item once it ended."""
    seed = int(ledger.about().get("seed", 0))
    made, working = [p.id for p in policies.origins(ledger)], rollouts.working(ledger)
    ended = [call_key(seed, u.round, u.op, [p], u.item) for u in rollouts.updates(ledger) for p in made]
    at = list(dict.fromkeys([*rollouts.inner(ledger), *ended]))
    for c in rollouts.calls(ledger):
        keys = (call_key(seed, c.round, hash_of("rollout", k, c.name, c.op), [c.policy], c.item) for k in at)
        found = next((k for k, key in zip(at, keys, strict=True) if key == c.key), None)
        if found is not None:
            at = [found, *(k for k in at if k != found)]  # the next one is likely to be of the same update
        elif c.round not in working:
            yield f"the call {c.key} of a rollout should have another key by its item {c.item}"


def _reports(ledger: Ledger, found: Verified) -> Iterator[str]:
    for id, body, inputs in exams.reports(ledger):
        report = Report.model_validate_json(body)
        try:
            said = cast(list[Feedback], ledger.records(ids=json.loads(inputs)[1:]))
            answers = cast(list[Solution], ledger.records(ids=[f.solution for f in said]))
            tasks = {t.id: cast(Task, t) for t in ledger.records(ids=[o.task for o in report.outcomes])}
        except Redacted:  # its digest still covers it; what it was counted from is not all there
            found.counts["reports of redacted answers"] = found.counts.get("reports of redacted answers", 0) + 1
            continue
        tries = [Experience(task=tasks[s.task], solution=s, feedback=f) for s, f in zip(answers, said, strict=True)]
        try:
            derived = make_report(report.policy, report.exam, tries, [tasks[o.task] for o in report.outcomes])
        except InstarError as e:
            yield f"the report {id} cannot be derived again: {e.message}"
            continue
        if (where := difference(report.content(), derived.content())) is not None:
            yield f"the report {id} does not follow from its feedback: {where}"
        found.counts["reports"] = found.counts.get("reports", 0) + 1


def _verdicts(ledger: Ledger, found: Verified) -> Iterator[str]:
    known = ledger.ops()
    for id, body, op in exams.verdicts(ledger):
        gate = _gate(known.get(op))
        if gate is None:  # another package's, or another version of ours: its code is not run here
            found.counts["verdicts of other gates"] = found.counts.get("verdicts of other gates", 0) + 1
            continue
        verdict = Verdict.model_validate_json(body)
        before, after = ledger.records(ids=[verdict.incumbent_report, verdict.candidate_report])
        if isinstance(gate, PerplexityBudget) and isinstance(before, Likelihood) and isinstance(after, Likelihood):
            if (where := difference(verdict.content(), gate.weigh(before, after).content())) is not None:
                yield f"the verdict {id} does not follow from its likelihoods: {where}"
            found.counts["verdicts"] = found.counts.get("verdicts", 0) + 1
            continue
        reports = cast(Report, before), cast(Report, after)
        where = difference(verdict.content(), gate(*reports).content())
        if where is not None and reports[0].exam.n > 1:  # it may be of the time before imaginary items were scaled
            with whole_imaginary_items():
                where = difference(verdict.content(), gate(*reports).content()) and where
        if where is not None:
            yield f"the verdict {id} does not follow from its reports: {where}"
        found.counts["verdicts"] = found.counts.get("verdicts", 0) + 1


def _gate(op: Mapping[str, Any] | None) -> Gate | None:
    """A gate of instar's own, as it was; None for any other."""
    fields = dict(op["fields"]) if op else {}
    name, version = fields.pop("op", None), fields.pop("version", None)
    cls = ops().get(str(name))
    if cls is None or not issubclass(cls, Gate) or not cls.__module__.startswith("instar.") or cls.version != version:
        return None
    return cast(Gate, build_op(Gate, {"op": name, **fields}, where="gate"))


def _result(ledger: Ledger, found: Verified) -> Iterator[str]:
    about = ledger.about()
    if "result" not in about:
        found.digest = "none"
        return
    result = json.loads(about["result"])
    found.digest = "derived and digest" if "result_digest" in about else "derived"
    if "result_digest" in about and about["result_digest"] != result_digest(about):
        yield "the result is not the one the run ended with: its digest is another"
    yield from _roles(ledger, result, about)
    said, noted = result.get("evolution_seconds"), about.get("evolved_at")
    if said is not None and noted is not None and not isclose(float(noted), float(said), rel_tol=1e-9):
        yield f"the result says that the evolution took {said} s, and {noted} is noted"
    reports: dict[tuple[str, str], list[Report]] = {}
    for id, body, _ in exams.reports(ledger):
        report = Report.model_validate_json(body).model_copy(update={"id": id})
        if report.exam.suite.startswith("sealed") or suite_kind(report.exam.suite):
            reports.setdefault((report.exam.suite, report.policy), []).append(report)
    any_sealed = bool(reports)
    yield from _record(ledger, result, about, reports)
    yield from _suites(result, reports, json.loads(about.get("resolved", "{}")).get("suites", {}))
    yield from _text(ledger, result, json.loads(about.get("resolved", "{}")))
    sealed = result.get("sealed")
    if sealed is None:
        if any_sealed:
            yield "there are sealed reports, and the result has no figures from them"
        return
    # one report each, but for a run that went on with another exam: then one choice must give these figures
    wrong = [difference(sealed, derived) for derived in _headlines(result, reports)]
    if wrong and all(w is not None for w in wrong):
        with whole_imaginary_items():  # as intervals of several samples an item were, before those items were scaled
            wrong += [difference(sealed, derived) for derived in _headlines(result, reports)]
    if not wrong:
        yield "the result has figures of a sealed exam, and its reports are not there"
    elif all(w is not None for w in wrong):
        yield f"the result does not follow from the sealed reports: {wrong[-1]}"
    found.counts["results"] = 1


def _record(
    ledger: Ledger, result: Mapping[str, Any], about: Mapping[str, str], reports: dict[tuple[str, str], list[Report]]
) -> Iterator[str]:
    """The result as a record is what its figures, its reports and the journal give. Of ``reports`` those stay that it
    names, which leaves one for each policy on each suite; a run of an older instar has no such record."""
    records = {r.id: cast(Result, r) for r in ledger.records("result")}
    said = about.get("result_record")
    for id in records:
        if id != said:
            yield f"there is a result {id}, which is not what the run ended with"
    if said is None:
        return
    if said not in records:
        yield f"the run ended with the result {said}, which is not there"
        return
    of = set(named(records[said]))
    for key, found in list(reports.items()):
        reports[key] = [r for r in found if r.id in of]
        if not reports[key]:
            del reports[key]
    try:
        ids = {key: found[0].id for key, found in reports.items()}
        derived = result_record(result, ids, tokens=ledger.asked()["tokens"])
    except KeyError as e:
        yield f"the result {said} names no report on {' of '.join(e.args[0])}"
        return
    stored, again = (r.model_dump(exclude={"id"}) for r in (records[said], derived))
    if (where := difference(stored, again) or difference(again, stored)) is not None:
        yield f"the result {said} does not follow from what the run ended with: {where}"


def _text(ledger: Ledger, result: Mapping[str, Any], resolved: Mapping[str, Any]) -> Iterator[str]:
    """The figures of the texts follow from what was read of them."""
    asked, said = resolved.get("text_budget"), result.get("text")
    if (asked is None) != (said is None):
        yield f"the guard of texts is not in the {'config' if asked is None else 'result'} of the run"
    if asked is None or said is None:
        return
    wrong = [
        difference(said, d) or difference(d, said)
        for d in derived_texts(result, likelihoods(ledger), float(asked["margin"]))
    ]
    if not wrong or all(w is not None for w in wrong):
        yield f"the figures of the texts do not follow from what was read: {wrong[-1] if wrong else 'it is not there'}"


def _suites(
    result: Mapping[str, Any], reports: Mapping[tuple[str, str], Sequence[Report]], asked: Mapping[str, Any]
) -> Iterator[str]:
    """A result's suites follow from their reports and from the config's margins, and there is none too many or too
    few."""
    said = result.get("suites", {})
    for name in dict.fromkeys([*asked, *said, *(suite for suite, _ in reports if suite_kind(suite))]):
        if name not in said or name not in asked:
            yield f"the suite {name} is not in the {'config' if name in said else 'result'} of the run"
            continue
        found = derived_suites(result, reports, name, float(asked[name]["margin"]))
        wrong = [difference(said[name], d) or difference(d, said[name]) for d in found]
        if not wrong:
            yield f"the result has figures of the suite {name}, and its reports are not there"
        elif all(w is not None for w in wrong):
            yield f"the figures of the suite {name} do not follow from its reports: {wrong[-1]}"


def _roles(ledger: Ledger, result: Mapping[str, Any], about: Mapping[str, str]) -> Iterator[str]:
    made = {p.id: p for p in policies.origins(ledger)}
    roles = {"base": result.get("base"), "final": result.get("final")}
    roles |= {f"control {name!r}": id for name, id in result.get("controls", {}).items()}
    for role, id in roles.items():
        if id not in made:
            yield f"the result names the {role} policy {id}, which is not there"
            return
    resolved = json.loads(about.get("resolved", "{}"))
    if "model" in resolved and made[result["base"]].op != hash_of("model", resolved["model"]):
        yield f"the result says that the run began with {result['base']}, which is not the model of its config"
    if about.get("recipe") in RECIPES:  # each of ours returns what a gate promoted last, or the base
        said = (Verdict.model_validate_json(v.body) for v in exams.verdicts(ledger))
        promoted: list[str] = []
        for v in said:  # a guard may refuse what the gate let pass: the last word on a candidate counts
            promoted = [p for p in promoted if p != v.candidate] + ([v.candidate] if v.promoted else [])
        ended = promoted[-1] if promoted else result["base"]
        if result["final"] != ended:
            yield f"the result says that the run ended with {result['final']}; its gates let it end with {ended}"


def _headlines(result: Mapping[str, Any], reports: Mapping[tuple[str, str], Sequence[Report]]) -> Iterator[Any]:
    """The sealed figures that the reports give; more than one where a policy has two reports on one suite."""
    final, names = result["final"], sorted(result.get("controls", {}))
    procedures = sorted(result["sealed"].get("procedures", {}))
    wanted = [("sealed", result["base"]), ("sealed", final), *(("sealed", result["controls"][n]) for n in names)]
    wanted += [(suite, final) for n in procedures for suite in (f"sealed, {n}", f"sealed, as many tokens as {n}")]
    for chosen in product(*(reports.get(key, ()) for key in wanted)):
        of = dict(zip(wanted, chosen, strict=True))
        before, after = of["sealed", result["base"]], of["sealed", final]
        try:
            derived = {
                **figures(before, after),
                "controls": {n: beside(of["sealed", result["controls"][n]], after) for n in names},
                "procedures": {
                    n: compared(after, of[f"sealed, {n}", final], of[f"sealed, as many tokens as {n}", final])
                    for n in procedures
                },
            }
        except StoreError:
            continue
        yield json.loads(json.dumps(derived))
