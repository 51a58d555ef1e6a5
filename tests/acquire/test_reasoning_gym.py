import json
import os
import subprocess
import sys
import time
from collections import Counter

import pytest

from instar.acquire.tasks.reasoning_gym import UNFIT, ReasoningGym
from instar.acquire.tasks.sets import prove_disjoint
from instar.errors import ConfigError, DataError

SMALL = {
    "chain_sum": {"min_terms": 2, "max_terms": 3, "max_digits": 2},
    "products": {"max_terms": 2, "max_digits": 2},
    "decimal_chain_sum": {"max_terms": 2, "max_digits": 1},
}
SEEDS = {"train": 7, "dev": 8, "gate": 9, "sealed": 10}


def test_a_thousand_tasks_are_drawn_disjoint_balanced_interleaved_and_soon():
    started = time.monotonic()
    sets = ReasoningGym(families=SMALL)({"train": 360, "dev": 100, "gate": 300, "sealed": 320}, SEEDS)
    assert time.monotonic() - started < 6  # about 1 s with the import; the margin is for a busy machine
    assert prove_disjoint(sets) == {"train": 360, "dev": 100, "gate": 300, "sealed": 320}
    assert Counter(t.ability for t in sets["dev"]) == {"chain_sum": 34, "products": 33, "decimal_chain_sum": 33}
    assert [t.ability for t in sets["sealed"][:4]] == ["chain_sum", "products", "decimal_chain_sum", "chain_sum"]
    assert {t.source for t in sets["gate"]} == {f"reasoning_gym/{f}" for f in SMALL}


def test_neighbouring_and_equal_seeds_do_not_overlap():
    source = ReasoningGym(families={"chain_sum": {"max_digits": 3}})
    wanted = {"train": 200, "sealed": 200}
    for seeds in ({"train": 1, "sealed": 2}, {"train": 1, "sealed": 1}):
        prove_disjoint(source(wanted, seeds))
    one = source({"train": 200}, {"train": 1})["train"]
    two = source({"train": 200}, {"train": 2})["train"]
    assert len({t.canonical for t in one} & {t.canonical for t in two}) < 20  # chance only; neighbours would share 199


def test_the_same_seeds_give_the_same_tasks_and_the_size_of_train_does_not_touch_sealed():
    source = ReasoningGym(families=SMALL)
    a = source({"train": 20, "sealed": 20}, SEEDS)
    b = source({"sealed": 20, "train": 90}, SEEDS)
    assert [t.digest for t in a["sealed"]] == [t.digest for t in b["sealed"]]
    other = source({"sealed": 20}, {"sealed": 11})
    assert [t.digest for t in other["sealed"]] != [t.digest for t in a["sealed"]]


def test_too_few_distinct_tasks_are_refused_with_the_number():
    source = ReasoningGym(families={"products": {"max_terms": 2, "max_digits": 1}})  # 55 products, of which 3*4 is 4*3
    with pytest.raises(DataError, match=r"gave only 55 distinct tasks \(15 of the 40 wanted for the train set"):
        source({"train": 40, "sealed": 40}, SEEDS)


def test_a_misspelt_family_is_refused_with_close_names():
    with pytest.raises(ConfigError, match=r"no family 'chainsum'\. Did you mean chain_sum"):
        ReasoningGym(families={"chainsum": {}})({"train": 1}, SEEDS)


def test_an_unknown_setting_is_refused_with_close_names():
    with pytest.raises(ConfigError, match=r"no setting 'max_term'\. Did you mean max_terms"):
        ReasoningGym(families={"chain_sum": {"max_term": 2}})({"train": 1}, SEEDS)


def test_a_seed_among_the_settings_is_refused():
    with pytest.raises(ConfigError, match="'seed' is not a setting"):
        ReasoningGym(families={"chain_sum": {"seed": 2}}).validate_config()


def test_settings_the_family_refuses_carry_its_own_words():
    with pytest.raises(ConfigError, match="max_terms must be >= min_terms"):
        ReasoningGym(families={"chain_sum": {"min_terms": 5, "max_terms": 2}}).validate_config()
    with pytest.raises(ConfigError, match="chain_sum"):
        ReasoningGym(families={"chain_sum": {"min_terms": "two"}}).validate_config()


def test_no_family_and_no_seed_are_refused():
    with pytest.raises(ConfigError, match="no families"):
        ReasoningGym(families={})
    with pytest.raises(ConfigError, match="No seed for the dev set"):
        ReasoningGym(families={"gcd": {}})({"dev": 1}, {"train": 1})


def test_unfit_families_are_refused_with_the_reason():
    for family, reason in UNFIT.items():
        with pytest.raises(ConfigError, match=reason[:16]):
            ReasoningGym(families={family: {}}).validate_config()


@pytest.mark.slow
def test_no_family_that_may_be_used_changes_between_processes():
    script = (
        "import json\nfrom reasoning_gym.factory import DATASETS\n"
        "from instar.acquire.tasks.reasoning_gym import dataset, question_digest\n"
        "out = {}\n"
        "for name in sorted(DATASETS):\n"
        "    if name != 'composite':\n"
        "        data = dataset(name, {}, 12345)\n"
        "        out[name] = [question_digest(data[i]['question'] + str(data[i]['answer'])) for i in ORDER]\n"
        "print('RESULT' + json.dumps(out))\n"
    )
    results = []
    for seed, order in (("1", "(0, 1, 2, 3)"), ("2", "(3, 2, 1, 0)")):
        done = subprocess.run(
            [sys.executable, "-c", script.replace("ORDER", order)],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        )
        results.append(json.loads(done.stdout.rpartition("RESULT")[2]))
    assert len(results[0]) > 90
    changed = {name for name in results[0] if results[0][name] != results[1][name][::-1]}
    assert changed - set(UNFIT) == set()
    assert {"isomorphic_strings", "knight_swap", "ransom_note"} <= changed  # the measurement can see it
