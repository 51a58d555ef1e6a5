"""Whether a round can teach anything: said early, decided once a round and recorded; a run that cannot learn stops."""

from __future__ import annotations

import re
import statistics
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field

from instar.errors import STOPS_THE_RUN, NothingToLearn
from instar.protocols import Filter, Judge
from instar.records import Decision, Experience, Finish, Mark, Record, Solution, Task, TurnKind, hash_of, mint
from instar.run.outputs import only
from instar.run.steps import Steps
from instar.store.ledger import Made

EARLY = 200
"""Answers after which it is said that none of them is right, or all are."""
ENOUGH = 40
"""Answers of a round from which none being right ends the run."""
FEW_ROWS = 20
"""Rows below which training is said to be on little."""
MOST = 0.8
"""Share of the tasks with a right answer that one filter may leave without any, unsaid."""

WORTH = hash_of("op", {"op": "worth_learning", "version": 1})
"""What stands in the ledger as the maker of these decisions."""

_GOLD = ("verifier", "execution", "environment")
_WIDE = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\u0600-\u06ff\u0900-\u0dff]")


@dataclass
class Heard:
    """The judged answers of one round, in task order. In memory only: a resumed run hears them again."""

    round: int = 0
    attempts: list[Experience] = field(default_factory=list)
    told: bool = False
    ever_right: bool = False
    trained: bool = False
    """Whether something was learned already: in a recipe that begins from what nobody judged, perhaps before any answer
    was right."""
    weighed: bool = False
    open: int = 0
    """Answers of the round that the check gave no score."""

    def hear(self, round: int, attempts: Sequence[Experience], say: Callable[[str], None]) -> None:
        """Note what a verifier said of these answers; say it once a round when the first of them are all alike."""
        checked = [e for e in attempts if e.feedback and e.feedback.source in _GOLD]
        own = [e for e in checked if e.feedback and e.feedback.mark in _MARKS]
        if not own:
            return
        if round != self.round:
            self.round, self.attempts, self.told, self.weighed, self.open = round, [], False, False, 0
        self.attempts += own
        self.open += len(checked) - len(own)
        self.ever_right |= any(map(_right, own))
        self.told = self.told or self.alike(self.attempts, say)

    @staticmethod
    def alike(attempts: Sequence[Experience], say: Callable[[str], None]) -> bool:
        """Whether the first of these answers are all right or all wrong, which is then said."""
        first = attempts[:EARLY]
        if len(first) < EARLY or len({_right(e) for e in first}) > 1:
            return False
        say(f"warning: {_sentence(first, 'the first ')} {likely(first, quoting=True)}")
        return True


def peeking(
    judge: Judge, tasks: Sequence[Task], heard: Heard, round: int, say: Callable[[str], None]
) -> Callable[[Mapping[str, list[Record]]], Awaitable[None]]:
    """What looks at the first answers in task order as soon as they are there, and says if they are all alike."""
    looked = False

    async def look(results: Mapping[str, list[Record]]) -> None:
        nonlocal looked
        if looked or (heard.round == round and heard.told):
            return
        first: list[tuple[Task, list[Solution]]] = []
        for task in tasks:
            if task.id not in results or sum(len(s) for _, s in first) >= EARLY:
                break
            first.append((task, only(Solution, results[task.id])))
        if sum(len(s) for _, s in first) < EARLY:
            return
        looked = True
        attempts = []
        try:
            for task, solutions in first:
                said = await judge(task, solutions, {})
                attempts += [
                    Experience(task=task, solution=s, feedback=f) for s, f in zip(solutions, said, strict=True)
                ]
        except STOPS_THE_RUN:
            raise
        except Exception:  # it judges them again when all are there, and fails there as a judge does
            return
        if heard.alike(attempts, say):
            heard.round, heard.attempts, heard.told, heard.weighed = round, [], True, False

    return look


def weigh(steps: Steps, heard: Heard, *, keep_going: bool) -> None:
    """Decide whether this round can teach anything, once; nothing is recorded where it plainly can.

    Raises:
        NothingToLearn: it cannot, and nobody said to go on.
    """
    attempts = heard.attempts if heard.round == steps.round else []
    if heard.weighed or len(attempts) < ENOUGH or len({_right(e) for e in attempts}) > 1:
        return
    heard.weighed = True
    before = heard.ever_right or heard.trained if not _right(attempts[0]) else steps.round > 1
    # what is kept quotes nobody: a task's words are found again under its id, and can be taken out there
    scored = "that have a score " if heard.open else ""
    reason, quoted = (
        f"{_sentence(attempts, scored=scored)} {likely(attempts, quoting=quoting, unscored=heard.open)}"
        for quoting in (False, True)
    )
    goes = ""
    if keep_going or before:
        goes = " It goes on: keep_going is set." if keep_going else " It goes on with what earlier rounds had."
    _record(steps, Decision(item=f"round {steps.round}", kept=keep_going or before, reason=reason + goes))
    if goes:
        steps.note(f"warning: {quoted}{goes}")
        return
    raise NothingToLearn(
        f"round {steps.round} cannot teach anything: {quoted}",
        "`instar show` and `instar report` have the answers. Mend the cause and start a new run; to go on all the "
        "same: --keep-going.",
        kept=f"round {steps.round} cannot teach anything: {reason}",
    )


def weigh_kept(steps: Steps, heard: Heard, kept: int) -> None:
    """Say on record why so few of a round's answers are left to learn from, where it is the language they are asked in:
    the run goes on, and may end as it began."""
    attempts = heard.attempts if heard.round == steps.round else []
    if heard.weighed or kept >= FEW_ROWS or len(attempts) < ENOUGH or not (cause := foreign(attempts)):
        return
    heard.weighed = True
    reason = f"{_sentence(attempts)} {kept} of them {'is' if kept == 1 else 'are'} left to learn from. {cause}"
    _record(steps, Decision(item=f"round {steps.round}", kept=True, reason=reason))
    steps.note(f"warning: {reason}")


def _record(steps: Steps, decision: Decision) -> None:
    """No operator decides this, and no call: it is of the run itself, like the policy that it begins with."""
    inputs, place = (steps.base.id,), int(decision.kept)
    steps.ledger.ensure_op(WORTH, "worth_learning", {"op": "worth_learning", "version": 1}, "")
    made = decision.model_copy(update={"id": mint("decision", WORTH, inputs, steps.round, place)})
    steps.ledger.add_records([Made(made, WORTH, steps.round, place, inputs)])


def filtered(op: Filter, attempts: Sequence[Experience], kept: Sequence[Experience]) -> str | None:
    """What to say of a filter that leaves nearly every task without a right answer; None where it does not."""
    right = [e for e in attempts if _right(e)]
    tasks = {e.task.id for e in right}
    lost = tasks - {e.task.id for e in kept if _right(e)}
    if len(tasks) < 5 or len(lost) < MOST * len(tasks):
        return None
    dropped = len(right) - sum(map(_right, kept))
    cut = op.name == "finished"
    mend = "a larger solve.sampling.max_tokens" if cut else f"look at the settings of {op.name} (keep)"
    return (
        f"warning: {op.name} dropped {dropped} of {len(right)} right answers"
        f"{' as unfinished' if cut else ''}; {len(lost)} of {len(tasks)} tasks have none left: {mend}."
    )


def few(rows: int) -> str:
    """What to say of a training on so few rows."""
    return (
        f"warning: only {rows} row{'s' if rows != 1 else ''} to train on (fewer than {FEW_ROWS}): a gain can hardly be "
        "told from chance. More tasks (sizes.train), more answers to each (solve.samples), or a larger "
        "solve.sampling.max_tokens."
    )


def likely(attempts: Sequence[Experience], *, quoting: bool = False, unscored: int = 0) -> str:
    """The likeliest cause that none of these answers is right, or that all are, with the setting to change. It names
    the task of an example, or is ``quoting`` it: to be printed, never to be kept. ``unscored``: beside these, the check
    gave so many no score."""
    n = len(attempts)
    if _right(attempts[0]) and unscored:
        return (
            f"The check gave {unscored} others no score at all: it must give wrong answers one too (False, or 0), or "
            "nothing is ever wrong."
        )
    if _right(attempts[0]):
        return (
            "Nothing can be learned where nothing is missed: harder tasks (tasks), or a checker that asks for more "
            "(judge.checker)."
        )
    if language := foreign(attempts):
        return language
    cut = sum(e.solution.finish is Finish.length for e in attempts)
    unread = sum(e.feedback is not None and e.feedback.answer is None for e in attempts)
    played = all(map(_played, attempts))  # of which no answer is read
    if cut > n / 2 and not played:
        return f"{cut} of them were cut off: a larger solve.sampling.max_tokens (and exam.solve.sampling.max_tokens)."
    if cut > n / 2:
        return (
            f"{cut} of these episodes were not over in their turns: more turns (solve.turns and exam.solve.turns, or "
            "tasks.turns), or a prompt that says what may be done (system)."
        )
    if played:
        return "Look at some episodes: the turns (solve.turns), the prompt (system), or the model (model) may not fit."
    if unread > n / 2:
        return (
            f"In {unread} of them no answer could be read: ask for it in the form that the checker reads (system), or "
            "change judge.checker."
        )
    e = next((e for e in attempts if e.feedback and e.feedback.answer is not None), attempts[0])
    given, gold = e.feedback.answer if e.feedback else None, e.task.private.get("answer")
    if gold is not None and "####" in str(gold):
        shown = f'("{_cut(str(gold).strip()[-30:])}")' if quoting else f"(as that of {e.task.id})"
        return (
            f"Gold answers are whole solutions {shown}: only what follows #### is the answer (tasks.answer, or a "
            "judge.checker that reads it)."
        )
    if given is None or gold is None:
        return "Look at some: the checker (judge.checker), the prompt (system), or the model (model) may not fit."
    shown = f'for example "{_cut(given)}" where gold is "{_cut(gold)}"' if quoting else f"for example to {e.task.id}"
    return (
        f"They were read and are wrong, {shown}: gold answers in another form than asked for (system, judge.checker), "
        "or tasks too hard for this model (model)."
    )


def foreign(attempts: Sequence[Experience]) -> str:
    """A sentence where most of the questions are in a language that the model hardly knows; "" where they are not. That
    there is one is told by its letters; how little the model knows it, by the tokens that a character of it takes:
    where nobody counted these, nothing is said."""
    wide = [e for e in attempts if len(_WIDE.findall(e.task.question)) > len(e.task.question) / 4]
    if len(wide) <= len(attempts) / 2:
        return ""
    if not sum(e.solution.prompt_tokens for e in wide):
        return ""  # who does not say what a prompt cost, tells nothing of what it knows
    if (each := _tokens_a_letter(wide)) <= 1.0:
        return ""  # its tokenizer has whole words of it
    return (
        f"The questions are in a language that this model hardly knows: it takes {each:.1f} tokens for each character "
        "of them. Another model (model)."
    )


def _tokens_a_letter(attempts: Sequence[Experience]) -> float:
    """Tokens that one more letter of a question costs; what stands in every prompt, in whichever language, is left
    out."""
    letters = [float(sum(len(m.content) for m in e.task.messages)) for e in attempts]
    tokens = [float(e.solution.prompt_tokens) for e in attempts]
    if len(set(letters)) > 1:
        return statistics.linear_regression(letters, tokens).slope
    return sum(tokens) / sum(letters)


_MARKS = (Mark.right, Mark.wrong)


def _right(e: Experience) -> bool:
    return e.feedback is not None and e.feedback.mark is Mark.right


def _sentence(attempts: Sequence[Experience], which: str = "", *, scored: str = "") -> str:
    right, n = sum(map(_right, attempts)), len(attempts)
    return f"{right} of {which}{n} answers {scored}are right."


def _cut(text: object) -> str:
    line = " ".join(str(text).split())
    return line if len(line) <= 40 else line[:39] + "…"


def _played(e: Experience) -> bool:
    """Whether it is an episode or a talk: it ends when another says so, or its turns do."""
    environment = e.feedback is not None and e.feedback.source == "environment"
    return environment or any(t.kind is TurnKind.partner for t in e.solution.turns)
