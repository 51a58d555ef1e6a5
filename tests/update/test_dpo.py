"""Preference updates: the preferred answers become likelier beside the others, a kill changes nothing, no pairs teach
nothing."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from instar.errors import Cancelled, DataError, NothingLearned
from instar.records import Pair, Policy
from instar.scripted_world import base_policy, implicit_rewards, prefer, weights_of
from instar.update.weights.dpo import Dpo
from instar.update.weights.trainer import preferring
from instar.update.weights.trainer.model import Lora
from tests.update.test_sft import raising
from tests.update.tiny import Context, experience, make_model, pair, policy_in

OP = Dpo(
    learning_rate=5e-3, epochs=3, batch_size=3, beta=0.3, precision="float32", checkpoint_steps=2,
    checkpoint_seconds=1e9,
)  # fmt: skip
STEPS = 12


def pairs(n: int = 10) -> list[Pair]:
    """Right sums beside wrong ones, of several lengths, two of them with one chosen answer."""
    found = []
    for i in range(n):
        right = experience(f"{i}+{i + 3}", f"It is {2 * i + 3}." if i % 2 else str(2 * i + 3))
        found.append(pair(right, experience(f"{i}+{i + 3}", f"{2 * i + 4}" + "!" * (i % 4), index=1)))
    return [*found, pair(found[0].chosen, experience("0+3", "no", index=2))]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_model(tmp_path_factory.mktemp("model"))


def trained(context: Context, folder: Path, op: Dpo = OP, given: Sequence[Pair] | None = None) -> Policy:
    context.pairs = pairs() if given is None else given
    return asyncio.run(op(policy_in(context, folder), (), context))


class Undisturbed(NamedTuple):
    policy: Policy
    context: Context


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, folder: Path) -> Undisturbed:
    context = Context(tmp_path_factory.mktemp("undisturbed"))
    return Undisturbed(trained(context, folder), context)


def history(context: Context, policy: Policy) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((context.artefacts.open(policy.weights.digest) / "training.json").read_text())
    return found


def test_the_preferred_answers_become_likelier_beside_the_others_and_the_curves_say_so(
    undisturbed: Undisturbed,
) -> None:
    policy, context = undisturbed
    told = [context.curves["step", i + 1] for i in range(STEPS)]
    assert told[0]["loss"] == pytest.approx(0.693147, abs=1e-5)  # nothing is preferred yet
    assert told[0]["margin"] == pytest.approx(0.0, abs=1e-5)
    assert told[0]["kl"] == pytest.approx(0.0, abs=1e-6)
    assert told[-1]["loss"] < 0.5
    assert told[-1]["margin"] > 0.5
    assert told[-1]["accuracy"] == 1.0
    assert told[-1]["kl"] > 0.01
    assert history(context, policy)["pairs"] == 11
    assert policy.made_by == "dpo"
    assert not list(context.scratch.glob("checkpoint-*"))


def test_it_is_said_which_answers_were_learned_toward_and_which_away(undisturbed: Undisturbed) -> None:
    told = {(entry.solution, entry.sign) for entry in undisturbed.context.told}
    assert told == {(p.chosen.id, 1) for p in pairs()} | {(p.rejected.id, -1) for p in pairs()}
    assert len(undisturbed.context.told) == len(told)  # an answer of two pairs is told once


def test_stopped_at_any_step_and_called_again_it_ends_with_the_same_weights(
    undisturbed: Undisturbed, folder: Path, tmp_path: Path
) -> None:
    for at, error in ((1, Cancelled("stop")), (7, RuntimeError("killed"))):
        context = Context(tmp_path / str(at), watch=raising(at, error))
        with pytest.raises(type(error)):
            trained(context, folder)
        context.watch = None
        assert trained(context, folder).id == undisturbed.policy.id


@pytest.mark.nightly  # a second torch to import: in this process every landing sees it, just above
def test_a_process_killed_in_the_middle_and_started_again_ends_with_the_same_weights(
    undisturbed: Undisturbed, folder: Path, tmp_path: Path
) -> None:
    code = (
        "import os, signal, sys, pathlib; from tests.update.test_dpo import Context, trained;"
        "kill = lambda n: os.kill(os.getpid(), signal.SIGKILL) if n == 6 else 0;"
        "trained(Context(pathlib.Path(sys.argv[1]), watch=kill), pathlib.Path(sys.argv[2]))"
    )
    killed = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path), str(folder)], cwd=Path(__file__).parents[2], timeout=120
    )
    assert killed.returncode == -signal.SIGKILL
    there = [int(p.name.removeprefix("checkpoint-")) for p in (tmp_path / "scratch").glob("checkpoint-?")]
    assert max(there) in (2, 4)  # a checkpoint is written beside the training: the second may not be whole yet
    context = Context(tmp_path)
    assert trained(context, folder).id == undisturbed.policy.id
    assert context.done[0] == max(there) + 1


@pytest.mark.parametrize(
    "changed",
    [
        {"loss_type": "ipo", "beta": 0.5}, {"loss_type": "simpo", "beta": 2.0}, {"loss_type": "kto"},
        {"loss_type": "robust", "label_smoothing": 0.1}, {"sft_weight": 0.5},
        {"lora": Lora(rank=4, dropout=0.1), "learning_rate": 2e-2},
    ],
)  # fmt: skip
def test_every_loss_learns_the_pairs_and_repeats_after_a_stop(
    changed: dict[str, Any], folder: Path, tmp_path: Path
) -> None:
    op = OP.model_copy(update=changed)
    context = Context(tmp_path / "a", watch=raising(5, Cancelled("stop")))
    with pytest.raises(Cancelled):
        trained(context, folder, op)
    context.watch = None
    resumed, straight = trained(context, folder, op), Context(tmp_path / "b")
    assert trained(straight, folder, op).id == resumed.id
    told = history(straight, resumed)
    assert told["margins"][-1] > told["margins"][0] + 0.05
    assert told["accuracies"][-1] == 1.0


def test_the_reference_is_the_policy_handed_in_by_that_name(folder: Path, tmp_path: Path, undisturbed: Any) -> None:
    context = Context(tmp_path)
    opponent = policy_in(context, make_model(tmp_path / "other", seed=5))
    context.references = {"reference": opponent}
    made = trained(context, folder)
    assert context.curves["step", 1]["kl"] > 0.1  # it begins elsewhere
    assert made.id != undisturbed.policy.id


def test_no_pairs_teach_nothing_and_single_answers_are_refused(folder: Path, tmp_path: Path) -> None:
    context = Context(tmp_path)
    with pytest.raises(NothingLearned, match="nothing was learned: no answer is preferred to another"):
        trained(context, folder, given=[])
    context.pairs = None
    with pytest.raises(DataError, match="no pairs: it does not train on single answers"):
        asyncio.run(OP(policy_in(context, folder), [experience("1+1", "2")], context))
    long = [pair(experience("1+1", "2"), experience("1+1", "3" * 300, index=1))]
    with pytest.raises(NothingLearned, match="longer than 256 tokens"):
        trained(context, folder, given=long)


def test_an_answer_on_both_sides_is_refused(folder: Path, tmp_path: Path) -> None:
    a, b, c = (experience("1+1", text, index=i) for i, text in enumerate(("2", "3", "4")))
    with pytest.raises(DataError, match="preferred in one pair and rejected in another"):
        trained(Context(tmp_path), folder, given=[pair(a, b), pair(b, c)])


def test_label_smoothing_is_of_one_loss_alone() -> None:
    with pytest.raises(ValueError, match='label_smoothing is of the loss "robust" alone'):
        Dpo(label_smoothing=0.1)


def test_the_scripted_model_learns_what_tells_two_answers_apart(tmp_path: Path) -> None:
    context, policy = Context(tmp_path), base_policy()
    context.pairs = pairs()
    made = asyncio.run(OP(policy, (), context))
    assert made.weights.skills is not None
    assert made.weights.skills["add"] > 0.3
    assert made.weights.skills["multiply"] == 0.3
    turned = [("1+1", "3", "2")] * 4
    assert prefer({"add": 0.3}, turned)["add"] < 0.3
    assert prefer({"add": 0.3}, [("1+1", "2", "It is 2.")])["add"] == 0.3
    assert prefer({"add": 0.3}, [("1+1", "3", "4")])["add"] == 0.3
    assert context.curves["step", 1]["margin"] == 0.0
    assert context.curves["step", STEPS]["margin"] > 0
    ((chosen, rejected, kl),) = implicit_rewards({"add": 0.6}, {"add": 0.3}, [("1+1", "2", "3")])
    assert chosen > 0 > rejected
    assert kl > 0
    context.references = {"reference": policy.model_copy(update={"weights": weights_of({"add": 0.5})}).identified()}
    other = Context(tmp_path / "b")
    other.pairs, other.references = context.pairs, context.references
    asyncio.run(OP(policy, (), other))
    assert other.curves["step", 1]["kl"] > 0


def test_what_an_answer_is_to_another_prompt_is_cut_at_the_models_context(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def strangers(rows: object, pairs: object, longest: int) -> None:
        raise InterruptedError(longest)

    monkeypatch.setattr(preferring, "strangers", strangers)
    with pytest.raises(InterruptedError, match="256"):
        trained(Context(tmp_path), folder, OP.model_copy(update={"loss_type": "kto"}))
