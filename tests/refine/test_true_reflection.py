"""Reflections that were true, as many of each word."""

from __future__ import annotations

from instar.records import Experience, Feedback, Finish, Mark, Message, Role, Sampling, Solution, Task, Turn, TurnKind
from instar.refine.filters.true_reflection import TrueReflection


def episode(id: str, said: str | None, mark: Mark) -> Experience:
    task = Task(id=f"t{id}", messages=(Message(role=Role.user, content="?"),), ability="a", canonical=id, source="test")
    turns = [Turn(text="finish[x]")]
    if said is not None:
        turns.append(Turn(kind=TurnKind.critique, text=said))
    solution = Solution(
        id=id, task=task.id, turns=tuple(turns), policy="p", engine="e", precision="exact", sampling=Sampling(),
        finish=Finish.stop,
    )  # fmt: skip
    score = {Mark.right: 1.0, Mark.wrong: 0.0}.get(mark)
    return Experience(task=task, solution=solution,
                      feedback=Feedback(solution=id, score=score, mark=mark, source="environment"))  # fmt: skip


ITEMS = [
    *(episode(f"r{i}", "Right? It is right.", Mark.right) for i in range(5)),
    *(episode(f"w{i}", "It is wrong.", Mark.wrong) for i in range(2)),
    episode("lie", "It is right.", Mark.wrong),
    episode("doubt", "It is wrong.", Mark.right),
    episode("mute", "Well.", Mark.right),
    episode("none", None, Mark.right),
    episode("spoiled", "It is right.", Mark.invalid),
]


def test_as_many_of_each_word_are_kept_and_only_true_ones() -> None:
    decisions = {d.item: d for d in TrueReflection()(ITEMS)}
    kept = [i for i, d in decisions.items() if d.kept]
    assert len(kept) == 4
    assert {"w0", "w1"} < set(kept) < {d for d in decisions if d[0] in "rw"}
    assert decisions["lie"].reason == 'its reflection says "right", and it is wrong'
    assert decisions["spoiled"].reason == 'its reflection says "right", and it is invalid'
    assert decisions["mute"].reason == decisions["none"].reason == "no reflection that says right or wrong"
    assert decisions["w0"].reason == 'its reflection says "wrong", which is true; 5 say "right" and 2 say "wrong"'
    assert kept == [d.item for d in TrueReflection()(ITEMS) if d.kept]
    assert kept != [d.item for d in TrueReflection(seed=3)(ITEMS) if d.kept]


def test_where_there_is_one_word_alone_nothing_is_to_be_learned_but_unbalanced_all_that_is_true() -> None:
    assert not any(d.kept for d in TrueReflection()(ITEMS[:5]))
    assert [d.item for d in TrueReflection(balanced=False)(ITEMS) if d.kept] == [
        *(f"r{i}" for i in range(5)),
        "w0",
        "w1",
    ]
