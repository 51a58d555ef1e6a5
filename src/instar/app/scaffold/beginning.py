"""What ``instar init`` does between reading a file and writing the config: plant answers in the verifier, try the model
on some rows in several ways, and say what can be expected."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from instar.acquire.feedback import pool
from instar.acquire.feedback.stress import AGAIN, GOLD, StressReport, judged, sample, stress
from instar.acquire.feedback.verify import Verify
from instar.acquire.tasks import layouts
from instar.acquire.tasks.nested import ALL
from instar.acquire.tasks.options import BESIDE, plainly
from instar.acquire.tasks.table import cut
from instar.app.configs.by_name import OWN
from instar.app.configs.config import Plan, plan
from instar.app.configs.config_file import read
from instar.app.configs.registry import recipes
from instar.app.preflight.prompts import MARKS
from instar.app.scaffold.files import SHORT, check_kept, checks_text, config_text, longest, warmth
from instar.app.scaffold.probing import FULL, ROWS, Tried, best, probe, shown, strange, without_system
from instar.app.scaffold.prompts import FEW_SHOTS, MOST_SHOTS, Form, forms
from instar.app.scaffold.tasks import Fit, Reading, fit
from instar.app.sessions.task_sets import draw
from instar.app.storage.paths import artefacts, home
from instar.app.weights.at_hand import at_hand
from instar.chat import ChatTokenizer
from instar.errors import InstarError, ModelError
from instar.evaluate.intervals import smallest_detectable
from instar.records import Mark, Message, Role, Sampling, Task

MOST_TRAINED, MOST_SEALED = 160, 200
"""Rows with short answers that a first run learns from, and ends with."""
PLANTED = 8
"""Rows whose right and wrong answers are planted in the verifier."""
PROMPTS = 3
"""Prompts and replies that are shown."""
Say = Callable[[str], None]


@dataclass(frozen=True)
class Begun:
    """What was written and seen."""

    sizes: Fit
    checks: Path
    kept: bool
    tried: tuple[Tried, ...] = ()
    chosen: Form | None = None
    expected: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    def as_data(self) -> list[dict[str, Any]]:
        """The ways of asking that were tried, as plain data."""
        return [
            {"form": t.form.name, "rows": t.of, "right_at_once": t.right, "right_in_any": t.any_right,
             "replies": t.replies, "share_right": t.share, "chosen": t.form is self.chosen}
            for t in self.tried
        ]  # fmt: skip


def told_format(reading: Reading) -> str:
    """The layout in words, and the columns it is read from."""
    form = reading.form
    if form.layout in ("sharegpt", "messages"):
        where = f"the last turn of the assistant in {form.question!r} is the gold answer"
    elif form.layout == "verl":
        where = f"the question is in {form.question!r}, the gold answer in {_gold_beside(reading)!r}"
    else:
        where = f"question in {form.question!r}, gold answer in {form.answer!r}"
    if form.layout == "choices":
        of = f"the options of {form.choices!r}" if form.choices else "the options"
        beside = form.choices.startswith(BESIDE)
        of = f"that one and the wrong ones of {form.choices.removeprefix(BESIDE)!r}" if beside else of
        where += f"; {of} go into the question as A, B, C, ..., and the gold answer is a letter"
        if form.mixed:
            where += "; each row's in an order of their own"
            where += "" if beside else ", since the right one stands at the same place in all"
    if form.context:
        where += f", {form.context.removesuffix(ALL)!r} before it"
    if form.system:
        where += f"; {form.system!r} is the system's text"
    if form.labels:
        named = ", ".join(f"{i} {cut(name, 24)}" for i, name in enumerate(form.labels[:8], form.first))
        where += f"; the labels' numbers stand for {named}" + (", ..." if len(form.labels) > 8 else "")
    if reading.unlabelled:
        none = " or ".join(form.without)
        left = "1 row is" if reading.unlabelled == 1 else f"{reading.unlabelled} rows are"
        where += f"; {left} left out: the {form.answer} {none} means that nobody gave one"
    if form.mark == "any":
        where += "; of an answer the result counts, which stands after a mark (Answer:, ####, in a box, ...)"
    elif form.mark == "number":
        where += "; of a long answer the number that it ends with counts"
    elif form.mark:
        where += f"; of an answer what stands after {form.mark!r} counts" if form.mark != "boxed" else (
            "; of an answer what is \\boxed counts"
        )  # fmt: skip
    if reading.several:
        where += "; of a list of answers any one counts as right"
    return "; ".join((layouts.NAMES[form.layout], where, *reading.notes))


def _gold_beside(reading: Reading) -> str:
    """The column with the gold answer of a conversation that ends with a question."""
    named = [c for c in reading.sample if plainly(c) == "rewardmodel"]
    rest = {c: 1 for c in reading.sample if c != reading.form.question}
    return next(iter(named), layouts.answer_column(rest) or reading.answer)


def told_kind(reading: Reading) -> str:
    """The kind of answer in words."""
    found = reading.found
    words = {
        "classify": f"choosing among {len(found.labels)} labels ({', '.join(cut(x, 24) for x in found.labels[:8])}"
        + (", ...)" if len(found.labels) > 8 else ")"),
        "extract": "a short text", "number": "a number or a formula", "choice": "the letter of an option",
        "code": "a program", "free": "a long text",
    }[found.kind]  # fmt: skip
    other = f", though the rows look like {found.said}" if found.said else ""
    return f"{words} ({found.why}{other}); --template {found.kind} says so" + (
        f"; {found.unnamed}" if found.unnamed else ""
    )


def prepare(
    reading: Reading, folder: Path, config: Path, *, recipe: str, model: str, probing: bool, seen: str, say: Say
) -> Begun:
    """Write the verifier and the config. Whatever stops it (an error, Ctrl-C while the model is downloaded), what it
    wrote is taken back: a config that was there stands as before.

    Raises:
        InstarError: a program is the answer, or a file or the model is of no use.
    """
    sizes = fit(reading.tasks, reading.abilities)
    if reading.found.kind in SHORT:
        sizes = in_minutes(sizes)
    sizes = for_recipe(sizes, recipe)
    if reading.found.kind == "code":
        raise _code(reading)
    written = (config, folder / "my_checks.py", _own_checks(folder, config))
    before = {path: path.read_bytes() if path.is_file() else None for path in written}
    pool.shared().warm()
    try:
        return _prepared(reading, sizes, folder, config, recipe, model, probing, seen, say)
    except BaseException:
        for path, text in before.items():
            if text is None:
                path.unlink(missing_ok=True)
            else:
                path.write_bytes(text)
        raise
    finally:
        pool.shared().close()


def _own_checks(folder: Path, config: Path) -> Path:
    """The verifier beside one that is another file's."""
    return folder / f"{config.stem}_checks.py"


def in_minutes(sizes: Fit) -> Fit:
    """Sizes of a run of some minutes on two cores. Short answers are learned from few rows: one round of them is enough
    to see what they are worth, and its gate decides with all its power."""
    sealed = min(sizes.sealed, MOST_SEALED)
    detects = 100 * smallest_detectable(sealed, 1 / 3)
    return replace(sizes, rounds=1, train=min(sizes.train, MOST_TRAINED), sealed=sealed, detects=detects)


def for_recipe(sizes: Fit, recipe: str) -> Fit:
    """Sizes with the dev set that a recipe needs, taken from what is learned from, and with no fewer rounds than it
    takes: then each has a smaller share."""
    field = recipes()[recipe].config.model_fields.get("rounds")
    fewest = max((getattr(limit, "ge", 0) for limit in (field.metadata if field else ())), default=0)
    rounds, learned = max(sizes.rounds, fewest), sizes.rounds * sizes.train
    dev = min(OWN.get(recipe, {}).get("sizes", {}).get("dev", 0), learned // 3)
    if not dev and rounds == sizes.rounds:
        return sizes
    gate = sizes.rounds * sizes.gate // rounds
    return replace(
        sizes, rounds=rounds, train=(learned - dev) // rounds, dev=dev, gate=gate,
        guarded=sizes.guarded and gate == sizes.gate, gate_detects=100 * smallest_detectable(gate, 1 / 3),
    )  # fmt: skip


def _prepared(
    reading: Reading,
    sizes: Fit,
    folder: Path,
    config: Path,
    recipe: str,
    model: str,
    probing: bool,
    seen: str,
    say: Say,
) -> Begun:
    checks, kept = folder / "my_checks.py", (folder / "my_checks.py").exists()
    if kept:
        check_kept(checks)
    else:
        checks.write_text(checks_text(reading), "utf-8")

    def written(form: Form | None, noted: Sequence[str] = ()) -> Plan:
        text = config_text(
            reading,
            _beside(sizes, reading, form),
            recipe=recipe,
            model=model,
            path=seen,
            checks=checks.name,
            form=form,
            noted=noted,
        )
        config.write_text(text, "utf-8")
        return plan(read(str(config)))

    made = written(None)
    train = draw(made)["train"]
    planted = _planted(checks, train, "" if kept else made.run.system or "")
    if kept and not (_takes_gold(planted) and _reads(checks, train)):
        own = _own_checks(folder, config)
        say(f"  {checks} is there already and refuses right answers of this file: kept, and {own.name} is written")
        checks, kept = own, False
        checks.write_text(checks_text(reading), "utf-8")
        planted = _planted(checks, train, made.run.system or "")
    for line in _of_plants(planted, min(PLANTED, len(train))):
        say(f"  {line}")
    ways = _ways(reading, made, train, model)
    tried: list[Tried] = []
    if probing:
        shots = {s["question"] for w in ways for s in w.shots}
        rows = [t for t in train if t.question not in shots][:ROWS]
        judge = Verify(checker=f"{checks}:is_right")
        sampling = Sampling(temperature=warmth(reading), top_k=40, max_tokens=longest(reading))
        say(f"  trying {model} on {len(rows)} rows in {len(ways)} ways ...")
        try:
            tried = probe(made, rows, ways, judge, sampling, say)
        except InstarError as e:  # no network, say: what can be written without the model is written
            say(f"  the model could not be tried: {e.message}")
    chosen = best(tried).form if tried and best(tried).any_right else ways[-1]
    for t in tried:
        say(
            f"    {t.form.name}: right at once on {t.right} of {t.of} rows, in any of "
            f"{t.replies // t.of} replies on {t.any_right}"
            + (f"; {t.cut_off} right ones were cut off, which a run does not learn from" if t.cut_off else "")
        )
    expected, warnings = _expected(reading, tried, train)
    noted = [f"Tried on {tried[0].of} rows: {chosen.name} was taken. {expected[0]}"] if tried else []
    noted = [cut(line, 118) for line in noted]
    written(chosen, noted)
    _show(chosen, made, train, next((t for t in tried if t.form is chosen), None), say)
    return Begun(
        _beside(sizes, reading, chosen),
        checks,
        kept,
        tuple(tried),
        chosen,
        tuple(expected),
        tuple(warnings + _of_model(train, model)),
    )


def _beside(sizes: Fit, reading: Reading, form: Form | None) -> Fit:
    """The sizes beside the rows that are examples, which are in no set; before a form is chosen, beside the most."""
    spare = len(form.shots) if form is not None else min(MOST_SHOTS, len(reading.found.labels)) or FEW_SHOTS
    left = (reading.tasks - spare - sizes.sealed - sizes.dev - sizes.gate * sizes.rounds) // sizes.rounds
    return replace(sizes, train=min(sizes.train, left))


def _ways(reading: Reading, made: Plan, train: Sequence[Task], model: str) -> list[Form]:
    """The ways to ask that this model can be asked in. Examples are training rows."""
    rows = [(t.question, reading.worked.get(t.canonical, str(t.private["answer"]))) for t in train]
    found = forms(reading.found, rows, instruction=reading.instruction)
    chat = _chat(model)
    system, user = (Message(role=r, content=c) for r, c in MARKS.items() if r is not Role.assistant)
    answer = Message(role=Role.assistant, content=MARKS[Role.assistant])
    if chat is not None and not _shows(chat, system, user):
        found = [without_system(f) for f in found]
    if chat is not None and not _shows(chat, user, answer, user):
        found = [f for f in found if not f.shots]
    if "solve" not in made.recipe.config.model_fields:
        return found[:1]
    return found


def _chat(model: str) -> ChatTokenizer | None:
    try:
        at = at_hand(model, home=home(), artefacts=artefacts())
        return ChatTokenizer.load(at.folder) if at.folder is not None else None
    except InstarError:
        return None


def _shows(chat: ChatTokenizer, *messages: Message) -> bool:
    """Whether the template takes these roles and drops none of their texts."""
    try:
        shown = chat.render(messages)
        return all(m.content in shown for m in messages)
    except ModelError:
        return False


def _of_model(train: Sequence[Task], model: str) -> list[str]:
    chat = _chat(model)
    try:
        said = strange(chat, [t.question for t in train[:ROWS]]) if chat is not None else ""
    except ModelError:
        return []
    return [said] if said else []


def _planted(checks: Path, train: Sequence[Task], told: str) -> StressReport:
    """Plants in a verifier. In one that was just written, gold must be right as the model is ``told`` to write it; in
    one that somebody brought, in any form."""
    return asyncio.run(stress(Verify(checker=f"{checks}:is_right"), sample(train, PLANTED), told))


def _reads(checks: Path, train: Sequence[Task]) -> bool:
    """Whether a verifier takes a gold number that is written without its thousands marks, where one has any."""
    task = next((t for t in train if re.fullmatch(r"-?\d{1,3}(,\d{3})+", str(t.private["answer"]))), None)
    if task is None:
        return True
    text = "Answer: " + str(task.private["answer"]).replace(",", "")
    (said,) = asyncio.run(judged(Verify(checker=f"{checks}:is_right"), task, [text]))
    return said.mark is Mark.right


def _takes_gold(report: StressReport) -> bool:
    return all(not p.failed for p in report.probes if p.name == GOLD)


def _of_plants(report: StressReport, rows: int) -> list[str]:
    """What the verifier made of planted answers."""
    gold = next(p for p in report.probes if p.name == GOLD)
    wrong = [p for p in report.probes if p.name not in (GOLD, AGAIN)]
    taken = [p for p in wrong if p.failed]
    fickle = [p for p in report.probes if p.name == AGAIN and p.failed]
    line = (
        f"planted in the verifier: the right answer was taken on {round((gold.right or 0) * gold.asked)} of {rows} "
        "rows, "
        f"{sum(p.asked for p in wrong)} wrong ones of {len(wrong)} kinds were "
        + ("all refused" if not taken else "refused but for these:")
    )
    return [line, *report.lines([*((gold,) if gold.failed else ()), *fickle, *taken])]


def _expected(reading: Reading, tried: Sequence[Tried], train: Sequence[Task]) -> tuple[list[str], list[str]]:
    """What can be said of a run to come."""
    often, share = reading.constant
    floor = f"Always answering {cut(often, 30)!r} would be right on {share:.0%} of all rows."
    if share == 1:
        same = f"every row has the same answer, {cut(often, 30)!r}: there is nothing to learn from these rows"
        return [floor], [f"{same}. Give a file with other answers too, or name another column: --answer COLUMN."]
    if not tried:
        return [f"not tried on the model. {floor}"], []
    top = best(tried)
    each = top.replies // top.of
    if top.any_right == 0:
        why = (
            f"none of {sum(t.replies for t in tried)} replies was right{_and_whole(tried)}: a run would find nothing "
            "to learn from. The rows may be too hard for this model, or the verifier may want another form than the "
            "replies have (they are shown above)"
        )
        return [floor], [why + ". Give easier rows, another model, or --template, or change the verifier."]
    n = top.any_right * len(train) // top.of
    said = (
        f"{top.any_right} of {top.of} rows get a right answer in {each} replies: about {n} or more of {len(train)} "
        f"training rows will give something to learn from (now right at once: {top.right / top.of:.0%}). {floor}"
    )
    if top.right >= FULL * top.of:
        return [said], [
            f"the model is right on {top.right} of {top.of} rows as it is, asked in this way: there is little left to "
            "gain, and these rows may not show it. Harder rows would."
        ]
    return [said], []


def _and_whole(tried: Sequence[Tried]) -> str:
    return " and came to its end" if any(t.cut_off for t in tried) else ""


def _show(chosen: Form, made: Plan, train: Sequence[Task], tried: Tried | None, say: Say) -> None:
    """Three prompts and gold answers as the model and the verifier will see them, and the replies if it was asked."""
    replies = {s.task.canonical: s for s in tried.greedy} if tried else {}
    shots = {s["question"] for s in chosen.shots}
    rows = [t for t in train if t.canonical in replies] or [t for t in train if t.question not in shots]
    for number, task in enumerate(rows[:PROMPTS]):
        messages = shown(task, chosen, made.run.tasks).messages
        say(
            f"  prompt {number + 1}, as the model sees it:" if number == 0 else f"  prompt {number + 1}, its last turn:"
        )
        for m in messages if number == 0 else messages[-1:]:
            for i, line in enumerate(cut(m.content, 600).splitlines() or [""]):
                say(f"    {m.role.value + ':' if i == 0 else '':<10} {line}")
        golds = task.private.get("answers") or [task.private["answer"]]
        say(f"    gold: {', '.join(repr(cut(str(g), 100)) for g in golds)}")
        if (reply := replies.get(task.canonical)) is not None:
            say(f"    reply: {cut(reply.text, 160)!r} - {reply.mark.value}")


def _code(reading: Reading) -> InstarError:
    from instar.errors import DataError

    if "SQL" in reading.found.why:
        return DataError(
            f"{reading.path} holds queries in SQL as answers: comparing texts cannot say whether a query is right, "
            "what it returns can.",
            "--template extract writes a config and a verifier that compares the texts; let is_right in it run both "
            "queries on your database (sqlite3, say) and compare their rows.",
        )
    return DataError(
        f"{reading.path} holds programs as answers: comparing texts cannot say whether a program is right, tests can.",
        'Give tasks with tests = {"visible": [...], "hidden": [...]} to the source code_jsonl and the judge execution '
        "(docs/guides/tasks.md); or --template free.",
    )
