"""Tasks from passages: the answer is picked in the text by rule, a model writes the question, the text is hidden.

After SQuAD (Rajpurkar et al., arXiv 1606.05250) for answers that are spans, and SPICE (arXiv 2510.24684) for hiding the
document from whoever solves the task: the key is in the text, so nobody's word is taken for it.

Departures: SPICE's challenger picks question and answer freely and is trained to. Here the model is shown the sentence
and the answer, with worked examples as turns of the chat, and what cannot be a question for it is refused by rule.
Questions by rule alone (gaps, cells of tables) need no model.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from typing import ClassVar, Literal

from pydantic import Field

from instar.acquire.documents.asking import by_rule, passage_of, question_of, with_texts
from instar.acquire.documents.facts import Fact, facts, others, why_no_question
from instar.acquire.documents.passages import Passage
from instar.acquire.feedback.fence import neutral
from instar.answers import replies_of
from instar.errors import DataError
from instar.protocols import Create, Created, Model, Models, Refused
from instar.records import Message, Objective, Role, Sampling, Task

_SHOTS = (
    ("The bridge of Orlo was built in 1702.", "Orlo", "1702", "In which year was the bridge of Orlo built?"),
    ("Its first owner was Emil Harding.", "The mill at Sane", "Emil Harding",
     "Who was the first owner of the mill at Sane?"),
    ("The band Low Tide has 14 members.", "Low Tide", "14", "How many members does the band Low Tide have?"),
    ("The lake lies next to the village of Brint.", "Lake Ammer", "Brint",
     "Next to which village does Lake Ammer lie?"),
    ("The museum of Tarn opens again on 3 May.", "Tarn", "3 May", "On which day does the museum of Tarn open again?"),
)  # fmt: skip
"""A sentence, what its text is about, the answer, the question. Written for this project."""


class PassageQuestions(Create):
    """Questions for the values that stand in each source, which must be a passage (a task of ``documents`` or
    ``made_up_articles``).

    ``writer``: "model" asks ``models["creator"]``, or "self" where there is none, for ``wordings`` questions of each
    value; "rule" leaves gaps in sentences and asks for cells of tables, and asks no model; "both" does both. Of each
    passage ``per_passage`` values at most, the first ones. ``shows = "texts"`` puts numbered texts before each
    question, of which ``distractors`` do not answer it.

    A task is told right by ``verify`` with ``checker = "guard_item"``; its private data has the passage and what it is
    ``grounded_in``. Raises DataError for a source that is no passage.
    """

    name: ClassVar[str] = "passage_questions"

    writer: Literal["model", "rule", "both"] = "both"
    wordings: int = Field(default=3, ge=1, le=50)
    per_passage: int = Field(default=12, ge=1)
    shows: Literal["nothing", "texts"] = "nothing"
    distractors: int = Field(default=2, ge=0, le=20)
    sampling: Sampling = Sampling(temperature=0.7, top_k=40, max_tokens=40)

    def prepare(self, tasks: Mapping[str, Sequence[Task]]) -> None:
        """Each training task is a passage."""
        for task in tasks.get("train", ()):
            self._passage(task)

    async def __call__(
        self, objectives: Sequence[Objective], sources: Sequence[Task], seen: Sequence[Task], models: Models
    ) -> Sequence[Created | Refused]:
        among = [self._passage(t) for t in sources]
        goal = objectives[0]
        asked: list[tuple[Task, Fact]] = []
        if self.writer != "rule":
            asked = [(t, f) for t, p in zip(sources, among, strict=True) for f in facts(p)[: self.per_passage]]
        model = models.get("creator", models["self"])
        written = await asyncio.gather(*(self._written(f, model) for _, f in asked))
        made: dict[str, list[Created]] = {t.id: [] for t in sources}
        refused: list[Refused] = []
        beside = {t.id: facts(p) for t, p in zip(sources, among, strict=True)}
        for (source, fact), questions in zip(asked, written, strict=True):
            for question in questions:
                why_not = why_no_question(question, fact.answer, fact)
                if why_not is not None:
                    refused.append(Refused(why_not))
                else:
                    task = question_of(fact, question, others(fact, beside[source.id]), self.name, goal.ability,
                                       written_by="model")  # fmt: skip
                    made[source.id].append(Created(task, (source.id,)))
        if self.writer != "model":
            for source, passage in zip(sources, among, strict=True):
                rules = list(by_rule(passage, self.name, goal.ability))[: self.per_passage]
                made[source.id] += [Created(t, (source.id,)) for t in rules]
        return [*self._put(made, among, goal), *refused]

    def _passage(self, source: Task) -> Passage:
        try:
            return passage_of(source)
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(
                f"{self.name} was handed {source.id or source.canonical!r} of {source.source}, which is no passage.",
                'Take tasks = { op = "documents", folder = "FOLDER" }, or made_up_articles.',
            ) from error

    def _put(self, made: dict[str, list[Created]], among: Sequence[Passage], goal: Objective) -> Iterator[Created]:
        for task, made_from, _ in (c for own in made.values() for c in own):
            whole = with_texts(task, among, self.distractors) if self.shows == "texts" else task
            yield Created(whole.model_copy(update={"objective": goal.id}), made_from)

    async def _written(self, fact: Fact, model: Model) -> list[str]:
        """Different questions for a fact, as the model wrote them: the first line of each reply."""
        replies = await replies_of(model, asking(fact), self.sampling, self.wordings)
        lines = (r.text.strip().partition("\n")[0].strip() for r in replies)
        return list(dict.fromkeys(line for line in lines if line))


def asking(fact: Fact) -> list[Message]:
    """How a question for a fact is asked for: worked examples as turns, then the sentence. It is untrusted, and stands
    on one line without anything that looks like a mark."""
    turns: list[Message] = []
    for sentence, title, answer, question in _SHOTS:
        turns.append(Message(role=Role.user, content=_asked(sentence, title, answer)))
        turns.append(Message(role=Role.assistant, content=question))
    said = [" ".join(neutral(t, "passage").split()) for t in (fact.sentence, fact.passage.title, fact.answer)]
    return [*turns, Message(role=Role.user, content=_asked(*said))]


def _asked(sentence: str, title: str, answer: str) -> str:
    return f"Text about {title}: {sentence}\nWrite a question that names {title} and whose answer is: {answer}"
