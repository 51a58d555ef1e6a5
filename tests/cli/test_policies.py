"""How a user may name a policy, and what a name that stands for none is answered."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from instar.app.weights.policies import find, roles
from instar.errors import ConfigError
from instar.report.summary import summary
from instar.store.ledger import Ledger


@pytest.fixture(autouse=True)
def here(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INSTAR_RUNS", str(made))
    monkeypatch.setenv("INSTAR_HOME", str(made.parent / "home"))


def named(said: str) -> tuple[str, str]:
    found = find(said, system=None, say=lambda _: None)
    return found.policy.id, found.role


def test_a_run_stands_for_what_it_ended_with_and_its_roles_and_ids_for_themselves(made: Path) -> None:
    s = summary(made / "one")
    assert named("one") == (s["final"], "final")
    assert named("one:final") == (s["final"], "final")
    assert named("one:base") == (s["base"], "base")
    assert named("one:unverified") == (s["controls"]["unverified"], "control:unverified")
    assert named(f"one:{s['base'].split(':')[1][:6]}") == (s["base"], "base")
    assert named(str(made / "one")) == (s["final"], "final")


def test_an_id_alone_is_looked_for_in_all_runs(made: Path) -> None:
    control = summary(made / "one")["controls"]["unverified"]
    assert named(control) == (control, "control:unverified")
    assert named(control.split(":")[1][:10]) == (control, "control:unverified")


def test_a_models_name_stands_for_the_model() -> None:
    assert find("scripted", system="Be brief.", say=lambda _: None).policy.system == "Be brief."


@pytest.mark.parametrize(
    ("said", "says"),
    [
        ("nothing", "there is no run, policy, model or folder 'nothing'"),
        ("one:nothing", "has no policy 'nothing'. It has: base, final, unverified"),
        ("deadbeef", "no run in"),
        ("one:", "final"),
    ],
)
def test_a_name_that_stands_for_nothing_is_answered_with_what_there_is(said: str, says: str) -> None:
    if said == "one:":
        assert named(said)[1] == says  # an empty part is the run itself
        return
    with pytest.raises(ConfigError) as e:
        named(said)
    assert says in str(e.value)


def test_roles_of_an_unfinished_run_are_none(made: Path) -> None:
    assert roles({}) == {}
    ledger = Ledger.read(made / "one" / "ledger.db")
    assert set(roles(ledger.about())) == {"base", "final", "control:unverified"}
    assert json.loads(ledger.about()["result"])["final"] == roles(ledger.about())["final"]
