"""GRPO on the scripted model: it improves, not with an inverted reward, and a kill in its rollouts changes nothing."""

from __future__ import annotations

import asyncio
import json
import signal
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from instar.acquire.feedback.verify import Verify
from instar.acquire.solutions.sample import Sample
from instar.app.storage.paths import artefacts
from instar.engines.scripted.engine import ScriptedEngine
from instar.errors import ModelError
from instar.protocols import RolloutPrompts
from instar.records import Experience, Feedback, Policy, Sampling, Solution, Task
from instar.report.facts import facts
from instar.report.page import body
from instar.report.why import why
from instar.run.keys import seed_of
from instar.store.ledger import Ledger
from instar.store.readers.answers import sampled
from instar.store.readers.exchanges import exchanges
from instar.store.readers.policies import origins, stored
from instar.store.readers.rollouts import rolled as of_rollouts
from instar.track.points import points
from instar.update.weights.grpo import Grpo
from tests.recipes.scripted import content, instar, start, wait_until
from tests.recipes.test_real_model import begin, end, kill_when, query, show
from tests.update.test_grpo import Practising

SETS = (
    "model=scripted", "rounds=2", "sizes.train=60", "sizes.gate=60", "sizes.sealed=60", "solve.samples=6",
    "train.prompts=20", "train.iterations=3",
)  # fmt: skip
INVERTED = 'judge={op="verify", checker="upside_down.py:is_wrong"}'
CHECKER = """
def is_wrong(reply, private):
    return not reply.rstrip(".").endswith(str(private["answer"]))
"""


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("work") / "runs"
    (place.parent / "upside_down.py").write_text(CHECKER)
    return place


@pytest.fixture(scope="module")
def undisturbed(runs: Path) -> dict:
    return go(runs, "undisturbed")


def go(runs: Path, name: str, *sets: str) -> dict:
    given = [o for s in (*SETS, *sets) for o in ("--set", s)]
    done = instar("run", "grpo", "--name", name, "--json", "--quiet", *given, runs=runs, cwd=runs.parent)
    return json.loads(done.stdout)


def test_it_improves_on_tasks_it_never_saw(undisturbed: dict) -> None:
    assert undisturbed["status"] == "finished"
    assert undisturbed["sealed"]["gain"] > 0
    assert any(r["gate"]["promoted"] for r in undisturbed["rounds"])


def test_it_fails_to_improve_when_its_reward_is_inverted(runs: Path) -> None:
    found = go(runs, "inverted", INVERTED, "exam.judge.checker=auto", "verifier_stress=off")
    assert found["sealed"]["gain"] <= 0
    assert not any(r["gate"]["promoted"] for r in found["rounds"])


def test_its_tasks_are_what_the_policy_is_made_from_and_no_gate_or_sealed_task_is(
    runs: Path, undisturbed: dict
) -> None:
    ledger = Ledger.read(runs / "undisturbed" / "ledger.db")
    reached, sets = ledger.ancestors(undisturbed["final"]), ledger.sets()
    assert reached & set(sets["train"])
    assert not reached & {t for n in ("gate", "sealed") for t in sets[n]}
    ledger.close()


def test_its_rewards_are_told_as_curves_to_show_the_report_the_trackers_and_the_terminal(
    runs: Path, undisturbed: dict
) -> None:
    for r in undisturbed["rounds"]:
        (told,) = r["training"]
        rollout = told["series"]["rollout"]
        assert [n for n, _ in rollout["reward"]] == [1, 2, 3]
        assert told["over"]
        assert told["op"] == "grpo"
        assert set(rollout) == {"reward", "length", "signal", "tokens"}
    rewards = [v for r in undisturbed["rounds"] for _, v in r["training"][0]["series"]["rollout"]["reward"]]
    assert rewards[-1] > rewards[0]
    folder = runs / "undisturbed"
    ledger = Ledger.read(folder / "ledger.db")
    told_trackers = {(p.name, p.step): p.value for p in points(ledger, lambda digest: folder / digest)}
    ledger.close()
    assert [told_trackers["training/rollout/reward", i + 1] for i in range(6)] == rewards
    page = body(facts(folder))
    assert page.count("<svg ") == 2 * (4 + 1)  # and the scripted model's loss, a step each
    assert f"reward over 3 rollouts: from {rewards[0]:.4g} to {rewards[2]:.4g}" in page
    said = instar("show", "undisturbed", runs=runs).stdout
    assert f"grpo, 3 rollouts: reward {rewards[0]:.3g} -> {rewards[2]:.3g} " in said


def test_a_round_whose_groups_have_no_signal_makes_no_candidate_and_says_why(runs: Path) -> None:
    (runs.parent / "flat.py").write_text("def half(reply, private):\n    return 0.5\n")
    flat = 'judge={op="verify", checker="flat.py:half"}'
    small = ("sizes.train=6", "sizes.gate=20", "sizes.sealed=20", "train.prompts=3", "rounds=2")
    sets = (flat, "exam.judge.checker=auto", "verifier_stress=off", *small)
    given = [o for s in (*SETS, *sets) for o in ("--set", s)]
    done = instar("run", "grpo", "--name", "flat", *given, runs=runs, cwd=runs.parent)
    why = "nothing was learned: no group had two rewards"
    assert done.stderr.count(f"no candidate: {why}") == 2
    found = json.loads(instar("show", "flat", "--json", runs=runs).stdout)
    assert found["final"] == found["base"]
    assert [r["no_candidate"] for r in found["rounds"]] == 2 * [[{"op": "grpo", "reason": why}]]
    assert [r["filters"] for r in found["rounds"]] == [{}, {}]
    assert content(runs, "flat")
    assert why in instar("show", "flat", runs=runs).stdout
    assert body(facts(runs / "flat")).count(why) == 2
    ledger = Ledger.read(runs / "flat" / "ledger.db")
    assert len(ledger.records("policy")) == 1
    one = ledger.records("decision")[0].id
    ledger.close()
    assert f"made no candidate: {why}" in instar("why", one, "--run", "flat", runs=runs).stdout


def test_its_policies_reach_their_rollouts_which_are_browsed_with_their_sign(runs: Path, undisturbed: dict) -> None:
    folder, final = runs / "undisturbed", undisturbed["final"]
    found = why(folder, final)
    learned = {x["solution"]: x for x in found["learned"]}
    assert {x["rollout"] for x in learned.values()} == {"rollout 0", "rollout 1", "rollout 2"}
    assert any(s.startswith("Of rollout 2 it learned toward ") for s in found["sentences"])
    of_last = next(id for id, x in learned.items() if x["rollout"] == "rollout 2")
    said = why(folder, of_last)
    assert "It is of rollout 2 inside an update, by the policy as it then was." in said["sentences"]
    assert any(s.startswith(f"It went into the training of policy {final}") for s in said["sentences"])
    half = said["record"]["policy"]
    assert any("half way through its training by grpo in round" in s for s in why(folder, half)["sentences"])
    seen = facts(folder)  # what `instar ui` and the report show
    rows = {r["id"]: r for r in seen["answers"]["rows"]}
    row = rows[of_last]
    assert (row["rollout"], row["learned"], row["text"]) == (
        "rollout 2", [{"policy": final, "sign": 1}], said["record"]["turns"][0]["text"],
    )  # fmt: skip
    assert seen["answers"]["total"] == 2 * 60 * 6
    assert {r["rolled_out"] for r in seen["rounds"]} == {True}
    # no list of policies has those that were half way, and nobody can ask them
    with closing(Ledger.read(folder / "ledger.db")) as ledger:
        lists = (ledger.records("policy"), stored(ledger), origins(ledger))
        assert [{p.id for p in ps} for ps in lists] == [{p["id"] for p in seen["policies"]}] * 3
        (policy,) = (p for p in ledger.records(ids=[half]) if isinstance(p, Policy))
    assert half not in {p["id"] for p in seen["policies"]}
    assert (policy.weights.place, policy.weights.skills, policy.id) == ("transient", None, policy.identified().id)
    with pytest.raises(ModelError, match="cannot answer"):
        asyncio.run(ScriptedEngine().ask(policy, [], n=1, sampling=Sampling(), seed=1, precision="exact"))


def asked(runs: Path, name: str) -> int:
    try:
        with sqlite3.connect(f"file:{runs / name / 'ledger.db'}?mode=ro", uri=True) as raw:
            return int(raw.execute("select count(*) from journal").fetchone()[0])
    except sqlite3.OperationalError:
        return 0


def answered(runs: Path, name: str) -> set[tuple[str, float]]:
    """The calls of rollouts that are finished, answered and judged, and when that was."""
    sql = "select c.key, c.ended from calls c join steps s on s.key = c.step"
    return set(query(runs, name, f"{sql} where s.verb = 'rollout' and c.status = 'finished'"))


def test_killed_in_its_rollouts_it_ends_the_same_and_asks_nothing_again(runs: Path, undisturbed: dict) -> None:
    process = start(runs, "killed", "engine_options.latency=0.1", recipe="grpo", common=SETS)
    wait_until(lambda: asked(runs, "killed") >= 25 or process.poll() is not None, 240)
    process.send_signal(signal.SIGKILL)
    process.wait()
    before, judged = asked(runs, "killed"), answered(runs, "killed")
    assert before < 60  # it was killed inside the second or third rollout of the first round
    instar("resume", "killed", "--quiet", runs=runs, cwd=runs.parent)
    found = json.loads(instar("show", "killed", "--json", runs=runs).stdout)
    assert found["final"] == undisturbed["final"]
    assert content(runs, "killed") == content(runs, "undisturbed")
    assert 0 < len(judged) < 60
    assert judged <= answered(runs, "killed")  # none of them was made again


def test_one_answer_a_task_is_refused_before_a_token_is_spent(runs: Path) -> None:
    given = [o for s in (*SETS, "solve.samples=1") for o in ("--set", s)]
    done = instar("run", "grpo", "--name", "alone", *given, runs=runs, check=False)
    assert done.returncode == 2
    assert "2 or more" in done.stderr
    assert asked(runs, "alone") == 0


GAME = f'"{Path(__file__).with_name("parity.py")}:Parity"'
GUESSING = (
    "model=scripted", f"tasks={GAME}", f'solve={{op="play", environment={GAME}, samples=4, turns=2}}',
    f'exam={{solve={{op="play", environment={GAME}, samples=1, turns=2, sampling={{temperature=0.0}}}},'
    f' judge={{op="outcome", environment={GAME}}}}}',
    "rounds=1", "sizes.train=12", "sizes.gate=8", "sizes.sealed=8", "train.prompts=6",
    "verifier_stress=off", "audit_with=none",
)  # fmt: skip
OUTCOME = f'{{op="outcome", environment={GAME}}}'


def guessing(runs: Path, name: str, judge: str, credit: float, *more: str, check: bool = True) -> str:
    """A run on episodes with this judge, and this weight of its labels; what it says where it is refused."""
    sets = (*GUESSING, f"judge={judge}", f"train.step_credit={credit}", *more)
    given = [o for s in sets for o in ("--set", s)]
    return instar("run", "grpo", "--name", name, "--quiet", *given, runs=runs, cwd=runs.parent, check=check).stderr


def test_the_steps_of_episodes_are_labelled_once_each_and_the_run_verifies(runs: Path) -> None:
    guessing(runs, "credited", f'{{op="step_credit", inner={OUTCOME}}}', 0.1)
    with closing(sqlite3.connect(runs / "credited" / "ledger.db")) as db:
        said = db.execute(
            "select f.body, s.body from records f join records s on s.id = json_extract(f.body, '$.solution') "
            "where f.kind = 'feedback'"
        ).fetchall()
    labelled = [(json.loads(f)["evidence"], json.loads(s)["turns"]) for f, s in said if '"steps"' in f]
    assert len(labelled) == 48
    for evidence, turns in labelled:
        assert len(evidence["steps"]) == sum(t.get("train", True) for t in turns) == 2
    instar("verify", "credited", runs=runs)


def test_labels_of_steps_that_nothing_reads_or_that_nothing_gives_are_refused(runs: Path) -> None:
    told = guessing(runs, "unread", f'{{op="step_credit", inner={OUTCOME}}}', 0.0, check=False)
    assert "the judge step_credit marks steps that nothing reads: set train.step_credit (0.1)" in told
    told = guessing(runs, "ungiven", OUTCOME, 0.1, check=False)
    assert "train.step_credit is 0.1 and the judge outcome marks no steps: set judge to" in told
    other = '{op="step_credit", inner={op="outcome", environment={op="multi_hop"}}}'
    told = guessing(runs, "elsewhere", other, 0.1, check=False)
    assert "judge.inner is in multi_hop, and the train tasks are of parity." in told
    assert not any((runs / name).exists() for name in ("unread", "ungiven", "elsewhere"))


TINY = (
    "model=smollm2-135m", "rounds=1", "sizes.train=24", "sizes.gate=8", "sizes.sealed=8", "solve.samples=4",
    "solve.sampling.max_tokens=16", "exam.solve.sampling.max_tokens=16", "train.prompts=8", "train.checkpoint_steps=1",
    "train.minibatches=2",
    'tasks={op="reasoning_gym", families={chain_sum={min_terms=2, max_terms=2, min_digits=1, max_digits=1}}}',
)  # fmt: skip


@pytest.mark.slow
def test_on_the_real_model_killed_in_training_it_keeps_its_rollouts_and_goes_on_from_its_checkpoint(
    tmp_path: Path,
) -> None:
    runs = tmp_path / "runs"
    options = [o for s in TINY for o in ("--set", s)]
    process = begin(runs, "run", "grpo", "--name", "hurt", "--quiet", *options)

    def rolled() -> dict[str, str]:
        return dict(query(runs, "hurt", "select key, value from inner_steps where key like 'rolled%'"))

    # the second rollout is journalled, and what was learned from the first is in a checkpoint
    kill_when(process, lambda: len(rolled()) == 2 and bool(list((runs / "hurt" / "scratch").glob("*/checkpoint-1/*"))))
    kept = rolled()
    asks = set(query(runs, "hurt", "select key, replies, at from journal"))
    end(begin(runs, "resume", "hurt", "--quiet"))
    found = show(runs, "hurt")
    assert found["status"] == "finished"
    assert content(runs, "hurt")
    assert asks <= set(query(runs, "hurt", "select key, replies, at from journal"))
    whole = rolled()
    assert len(whole) == 3
    assert {k: whole[k] for k in kept} == kept
    policies = [json.loads(b) for (b,) in query(runs, "hurt", "select body from records where kind = 'policy'")]
    assert [p["weights"]["place"] for p in policies] == ["artefact", "transient", "transient", "artefact"]
    policies = [p for p in policies if p["weights"]["place"] == "artefact"]
    (made,) = [p for p in policies if p["made_by"] == "grpo"]
    told = json.loads((artefacts().open(made["weights"]["digest"]) / "training.json").read_text())
    assert len(told["rollouts"]) == 3
    assert not list((runs / "hurt" / "scratch").glob("*/checkpoint*"))
    # the same rollouts, learned from without a break, give the same weights
    before = made["weights"]["digest"]
    assert asyncio.run(learned_again(runs / "hurt", policies, tmp_path)) == before


async def learned_again(folder: Path, policies: list[dict], scratch: Path) -> str:
    """The weights that the journalled rollouts of a run lead to, in one go; rolling out anew is refused."""
    ledger = Ledger.read(folder / "ledger.db")
    ((call,),) = query(folder.parent, folder.name, "select distinct call from inner_steps where key like 'rolled%'")
    context = Practising(scratch / "again")
    context.seed = seed_of(call)
    context.artefacts = artefacts()
    kept = {r["key"]: json.loads(r["value"]) for r in ledger.rows("inner_steps") if r["call"] == call}
    context.journal = {k: v for k, v in kept.items() if k.startswith("rolled")}
    tasks = {t.id: t for t in ledger.records("task") if isinstance(t, Task)}
    said = {f.solution: f for f in ledger.records("feedback") if isinstance(f, Feedback)}
    for answer in of_rollouts(ledger, [id for id, _ in sampled(ledger)]).values():
        (solution,) = ledger.records(ids=[answer.id])
        assert isinstance(solution, Solution)
        e = Experience(task=tasks[solution.task], solution=solution, feedback=said[answer.id])
        context.journal.setdefault(f"answers of {answer.name}", []).append(e)
    place = {id: n for n, id in enumerate(ledger.sets()["train"])}  # a rollout is in the order of its tasks
    for answers in (v for k, v in context.journal.items() if k.startswith("answers of ")):
        answers.sort(key=lambda e: place[e.task.id])  # the ledger's is that in which they were ready
    context.calls = exchanges(ledger, [key for (key,) in query(folder.parent, folder.name, "select key from journal")])
    resolved = json.loads(ledger.about()["resolved"])
    context.rollout_prompts = RolloutPrompts([tasks[id] for id in ledger.sets()["train"]], Sample(), Verify())
    base = next(Policy.model_validate(p) for p in policies if p["made_by"] != "grpo")
    now = {old: new for new, old in Grpo.former.items()}  # identities keep the names that settings had
    op = Grpo(**{now.get(k, k): v for k, v in resolved["train"].items() if k not in ("op", "version")})
    made = await op(base, (), context)
    assert context.asked == []
    ledger.close()
    return made.weights.digest
