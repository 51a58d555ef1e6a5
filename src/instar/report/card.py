"""A model card from the ledger: what the weights were made from and how, what they gained, and what they lost."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

from instar.records import Policy, Report, Verdict
from instar.report.lineage import fate_of
from instar.report.policies import taught
from instar.report.suites import suites
from instar.store.door import open_ledger
from instar.store.roles import roles_of

LICENCES = {"smollm2-135m": "apache-2.0"}
"""Of the models instar itself fetches. Of any other, the card says where to look."""


def card(policy: Policy, run: Path | None, *, version: str, adapter: bool = False) -> str:
    """README.md for a policy: Hugging Face's front matter, then sentences. ``run`` is where it was made, if known."""
    base = policy.weights.name or "unknown"
    known: dict[str, Any] = _facts(policy, run) if run is not None else {}
    base = known.get("base_name", base)
    lines = [*_front(base, known, adapter), f"# {run.name if run else base}, policy {_short(policy.id)}", ""]
    if not known or known["is_base"]:
        lines += [f"These are the weights of `{_code(base)}`, unchanged."]
    else:
        lines += _made(policy, known, run.name if run else "", base)
        lines += _gained(known)
    lines += [*_used(policy, adapter), *_provenance(policy, known, version)]
    return "\n".join(lines) + "\n"


def without_folders(value: Any) -> Any:
    """Plain data with absolute paths cut to the file's name: a card is published, and a path tells who made it."""
    if isinstance(value, dict):
        return {k: without_folders(v) for k, v in value.items()}
    if isinstance(value, list):
        return [without_folders(v) for v in value]
    return Path(value).name if isinstance(value, str) and Path(value).is_absolute() else value


def _facts(policy: Policy, run: Path) -> dict[str, Any]:
    ledger = open_ledger(run / "ledger.db")
    try:
        about = ledger.about()
        policies = {p.id: cast(Policy, p) for p in ledger.records("policy")}
        roles = roles_of(ledger)
        made = roles.updates.get(policy.id)
        # a judge was not trained here either: it is itself, and not what the run began with
        base = policies.get(roles.base or "", policy) if made or policy.id == roles.base else policy
        result = json.loads(about.get("result", "{}"))
        verdicts = [v for v in ledger.records("verdict") if isinstance(v, Verdict) and v.candidate == policy.id]
        reports = [r for r in ledger.records("report") if isinstance(r, Report) and r.policy == policy.id]
        origin = ledger.provenance(policy.id)
        op = ledger.ops().get(origin["op"], {"name": origin["op"], "fields": {}})
        return {
            "base_name": base.weights.name, "base_id": base.id, "is_base": policy.id == base.id,
            "roles": roles, "made": made,
            "config": json.loads(about.get("resolved", "{}")), "recipe": about.get("recipe"), "verdicts": verdicts,
            "sealed": result.get("sealed") if result.get("final") == policy.id else None, "reports": reports,
            "suites": suites(result.get("suites", {}), unchanged=result.get("final") == result.get("base")),
            "round": origin["round"], "op": op, "sets": {n: len(i) for n, i in ledger.sets().items()},
            "content": ledger.content_digest(),
        }  # fmt: skip
    finally:
        ledger.close()


def _front(base: str, known: dict[str, Any], adapter: bool) -> list[str]:
    licence = LICENCES.get(base)
    tags = ["instar", "self-evolution", *([str(known["recipe"])] if known.get("recipe") else [])]
    hub = base.split("@")[0] if "/" in base else None
    return [
        "---",
        f"license: {licence or 'other'}",
        *([] if licence else ["license_name: see-base-model"]),
        *([f"base_model: {json.dumps(hub)}"] if hub else []),
        f"library_name: {'peft' if adapter else 'transformers'}",
        "pipeline_tag: text-generation",
        f"tags: {json.dumps(tags)}",
        "---",
        "",
    ]


def _made(policy: Policy, known: dict[str, Any], run: str, base: str) -> list[str]:
    config = known["config"]
    tasks = without_folders(config.get("tasks", {}))
    fields = json.dumps({k: v for k, v in known["op"]["fields"].items() if k != "op"}, sort_keys=True)
    return [
        f"`{_code(base)}` {_standing(policy, known)} by the recipe `{_code(str(known['recipe']))}` "
        f"(run `{_code(run)}`, made with instar).",
        *([""] if (warned := _not_the_result(policy, known)) else []),
        *warned,
        "",
        "## Data",
        "",
        f"- Trained on {_trained(policy, known)}.",
        f"- Tasks from `{_code(str(tasks.get('op', 'unknown')))}`: `{_code(json.dumps(tasks, sort_keys=True)[:600])}`",
        f"- Sets: {', '.join(f'{n} {k}' for n, k in sorted(known['sets'].items()))}; disjoint on canonical content.",
        "",
        "## Method",
        "",
        f"- Update: `{_code(str(known['op']['name']))}` with `{_code(fields)}`",
        *(f"- Gate: {_text(v.reason)}" for v in known["verdicts"]),
        "",
    ]


def _standing(policy: Policy, known: dict[str, Any]) -> str:
    """What the policy is in its run, in the words before the recipe's name."""
    if policy.id in known["roles"].controls and policy.id != known["roles"].result:
        return "trained as a control, to compare with what came of self-evolution"
    return f"after round {known['round']} of self-evolution"


def _not_the_result(policy: Policy, known: dict[str, Any]) -> list[str]:
    """Who loads these weights must know when they are not what the run ended with."""
    roles = known["roles"]
    if policy.id == roles.result:
        return [] if roles.over else ["**The run is not over**: this is what a gate let pass last."]
    fate = fate_of(policy.id, roles) or "a candidate that no gate has judged"
    if policy.id in roles.promoted:
        fate = f"a candidate that was {fate}"
    what = "the model that the run ended with" if roles.over else "the model that the run would end with now"
    return [f"**This is not {what}**: it is {_text(fate)}."]


def _trained(policy: Policy, known: dict[str, Any]) -> str:
    made = known["made"]
    if made.rolled_out or not made.solutions:
        return taught(made)
    chosen = "chosen for the control" if policy.id in known["roles"].controls else "kept by the run's filters"
    return f"{len(made.solutions)} of its own answers to {len(made.tasks)} tasks, {chosen}"


def _gained(known: dict[str, Any]) -> list[str]:
    s = known["sealed"]
    if not s:
        exams = [
            f"- {r.exam.suite} exam: {r.metrics['mean@1'].value:.1%} ({r.metrics['mean@1'].low:.1%} to "
            f"{r.metrics['mean@1'].high:.1%}, n = {r.metrics['mean@1'].n})"
            for r in known["reports"]
        ]
        over = known["roles"].over
        why = "this is not the policy its run ended with" if over else "the run is not over, and has it at its end"
        said = f"No paired sealed exam: {why}."
        return ["## Measured", "", said, "", *exams, ""]
    lines = [
        "## Measured", "",
        f"Sealed exam, scored once at the end (n = {s['n']}, {s['engine']} {s['precision']}): {s['base']:.1%} before, "
        f"{s['final']:.1%} after, {_points(s)}.",
        "" if s["best_constant"] is None else f"Always giving the best one answer scores {s['best_constant']:.1%}.",
        "", "| ability | before | after | gain in points (95 % interval) | n |", "|---|---:|---:|---:|---:|",
    ]  # fmt: skip
    for name, a in s["abilities"].items():
        lines.append(f"| {_text(name)} | {a['base']:.1%} | {a['final']:.1%} | {_points(a)} | {a['n']} |")
    lines += [""]
    for name, c in s.get("controls", {}).items():
        gap = {"gain": c["evolved_minus_control"], "low": c["low"], "high": c["high"]}
        lines += [f"Control `{_code(name)}`: {c['score']:.1%}; this policy minus it: {_points(gap)}."]
    lines += _suites(known.get("suites", ()))
    drops = {n: a for n, a in s["abilities"].items() if a["gain"] < 0}
    lines += ["", "### Known drops", ""]
    for name, a in drops.items():
        sure = "beyond chance" if a["high"] < 0 else "within chance"
        lines += [f"- {_text(name)}: {_points(a)}, {sure}."]
    if not drops:
        lines += ["None among the abilities examined. Nothing is known of abilities that were not examined."]
    lines += [f"- {s['newly_wrong']} of {s['n']} items were right before and are wrong now "
              f"({s['newly_right']} the other way)."]  # fmt: skip
    return [*lines, ""]


def _suites(found: Sequence[dict[str, Any]]) -> list[str]:
    """What it was not to get worse at, in a table; nothing of a run without suites."""
    if not found:
        return []
    rows = [
        f"| {_text(x['name'])} | {x['base']:.1%} | {x['final']:.1%} | {_points(x)} | {x['n']} | {x['better']} | "
        f"{x['sentence']} |"
        for x in found
    ]
    head = ["| suite | before | after | change in points (95 % interval) | n | better | so |"]
    said = "Examined once, at the end, and used for nothing else:"
    return ["", "### Suites", "", said, "", *head, "|---|---:|---:|---:|---:|---|---|", *rows]


def _used(policy: Policy, adapter: bool) -> list[str]:
    load = (
        'folder = "."  # this one\nbase = AutoModelForCausalLM.from_pretrained("BASE")  # the base model\'s folder\n'
        "model = PeftModel.from_pretrained(base, folder)\n"
        'tokenizer = AutoTokenizer.from_pretrained("BASE")'
        if adapter
        else 'folder = "."  # this one\nmodel = AutoModelForCausalLM.from_pretrained(folder)\n'
        "tokenizer = AutoTokenizer.from_pretrained(folder)"
    )
    system = [{"role": "system", "content": policy.system}] if policy.system else []
    asked = json.dumps([*system, {"role": "user", "content": "..."}], ensure_ascii=False)
    fence = "`" * max(3, 1 + max((len(run) for run in re.findall("`+", asked)), default=0))
    names = (
        "from peft import PeftModel\n" if adapter else ""
    ) + "from transformers import AutoModelForCausalLM, AutoTokenizer"
    ask = (
        f"messages = {asked}\n"
        'how = {"add_generation_prompt": True, "return_tensors": "pt", "return_dict": True}\n'
        "prompt = tokenizer.apply_chat_template(messages, **how)\n"
        "reply = model.generate(**prompt, max_new_tokens=48, do_sample=False)\n"
        'print(tokenizer.decode(reply[0][prompt["input_ids"].shape[1]:], skip_special_tokens=True))'
    )
    out = ["", "## Use", "", f"{fence}python", names, "", load, ask, fence, ""]
    if policy.system:
        out += ["Its scores were measured with this system prompt:", "", *_quoted(policy.system), ""]
    if policy.few_shots:
        out += [f"and with {len(policy.few_shots)} few-shot messages, which are in `policy.json`.", ""]
    return out


def _provenance(policy: Policy, known: dict[str, Any], version: str) -> list[str]:
    licence = LICENCES.get(known.get("base_name", policy.weights.name))
    out = ["## Provenance", "", f"- instar {version}; policy `{policy.id}`; weights sha256 `{policy.weights.digest}`"]
    if known:
        out += [f"- ledger content `{known['content']}`; base policy `{known['base_id']}`"]
    if policy.parent:
        out += [f"- trained from policy `{policy.parent}`"]
    out += [
        f"- Licence of the base model: {licence}."
        if licence
        else "- Licence: that of the base model, which instar does not know. Look it up before you share these weights."
    ]
    return out


def _points(a: dict[str, Any]) -> str:
    return f"{100 * a['gain']:+.1f} points ({100 * a['low']:+.1f} to {100 * a['high']:+.1f})"


def _short(id: str) -> str:
    return id.split(":")[-1][:8]


def _code(text: str) -> str:
    return " ".join(text.replace("`", "'").split())


def _text(text: str) -> str:
    """A user's or a model's words inside Markdown: one line, no table border, no markup."""
    one = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return "".join(f"\\{c}" if c in "\\`*_{}[]<>#|!" else c for c in one)


def _quoted(text: str) -> list[str]:
    return [f"    {line}" for line in "".join(c if c.isprintable() or c == "\n" else " " for c in text).splitlines()]
