"""Made-up articles as a source: what a policy answers of them without the text, it has learned from the text."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import ClassVar, Literal

from pydantic import Field

from instar.acquire.documents.asking import question_of, told, with_texts
from instar.acquire.documents.facts import Fact
from instar.acquire.documents.made_up import MOST, VALUES, Article, article
from instar.acquire.documents.passages import Passage, Span, holds, passages
from instar.acquire.tasks.sets import check_wanted
from instar.errors import DataError
from instar.protocols import Source
from instar.records import Task


class MadeUpArticles(Source):
    """``articles`` short articles of a ``world``, from the ``first`` on, each with six facts that nobody can know.

    **train** are the articles; **dev, gate, sealed** ask for their facts, each in one set, in words that no article
    uses, without the text; with ``shows = "texts"`` they ask about articles that train has not, after numbered texts of
    which ``distractors`` do not answer them. With another ``first`` the same world gives questions about articles that
    a run never saw: a suite of them shows what is guessed.

    Raises:
        DataError: more is wanted than there is, with the number there is.
    """

    name: ClassVar[str] = "made_up_articles"

    articles: int = Field(default=60, ge=1, le=MOST)
    first: int = Field(default=0, ge=0, lt=MOST)
    world: int = Field(default=1, ge=0)
    shows: Literal["nothing", "texts"] = "nothing"
    distractors: int = Field(default=2, ge=0, le=20)

    def __call__(self, wanted: Mapping[str, int], seeds: Mapping[str, int]) -> dict[str, list[Task]]:
        order = check_wanted(wanted)
        if self.first + self.articles > MOST:
            raise DataError(
                f"A world has {MOST} articles; {self.articles} from {self.first} on are wanted.", "Ask for fewer."
            )
        written = [article(self.world, n) for n in range(self.first, self.first + self.articles)]
        learned = written[: wanted.get("train", 0)]
        held = written[len(learned) :] if self.shows == "texts" else written
        asked = [q for a in held for q in self._asked(a)]
        texts = [_whole(a) for a in held]
        random.Random(f"facts|{seeds.get('sealed', 0)}").shuffle(asked)
        questions = sum(n for name, n in wanted.items() if name != "train")
        if wanted.get("train", 0) > len(written) or questions > len(asked):
            raise DataError(
                f"{len(held)} of {len(written)} made-up articles have {len(asked)} facts to ask for; "
                f"{wanted.get('train', 0)} articles and {questions} questions are wanted.",
                "Ask for fewer, or for more articles.",
            )
        drawn: dict[str, list[Task]] = {}
        for name in order:
            if name == "train":
                drawn[name] = told([_whole(a) for a in learned], self.name)
            else:
                own, asked = asked[: wanted[name]], asked[wanted[name] :]
                shown = self.shows == "texts"
                drawn[name] = [with_texts(q, texts, self.distractors) for q in own] if shown else own
        return {name: drawn[name] for name in wanted}

    def _asked(self, of: Article) -> list[Task]:
        whole, found = _whole(of), []
        for value in VALUES:
            answer = of.values[value]
            place = holds(whole.text, answer)
            assert place is not None, "an article tells its values"
            at = whole.span.start + place.start
            fact = Fact(whole, of.kind.told[value], answer, Span(at, at + len(answer)))
            beside = [v for k, v in of.values.items() if k != value]
            question = of.kind.asked[value].format(t=of.title)
            ability = "cited" if self.shows == "texts" else "closed_book"
            found.append(question_of(fact, question, beside, self.name, f"{ability}/{value}"))
        return found


def _whole(of: Article) -> Passage:
    (only,) = passages(of.document, characters=4_000)
    return only
