"""Known abilities, difficulties and slopes are found again within their errors; what has no tries is refused."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import numpy as np
import pytest

from instar.difficulty import Counted, Estimate, Fit, chance, fit
from instar.errors import DataError

POLICIES, TASKS, TRIES = 12, 150, 8


def simulated(model: Literal["rasch", "2pl"]) -> tuple[list[Counted], dict[str, float], dict[str, tuple[float, float]]]:
    """Counts drawn from the model itself, and what they were drawn from."""
    draw = np.random.default_rng(7)
    drawn = draw.normal(
        0, 1, POLICIES
    )  # the scale has its zero and its unit from the policies: so have the true values
    able = {f"p{i}": float(x) for i, x in enumerate((drawn - drawn.mean()) / drawn.std())}
    hard = {
        f"t{j}": (float(b), float(np.exp(s)) if model == "2pl" else 1.0)
        for j, (b, s) in enumerate(zip(draw.normal(0.5, 1.5, TASKS), draw.normal(0, 0.5, TASKS), strict=True))
    }
    cells = [
        Counted(p, t, int(draw.binomial(TRIES, chance(a, b, s))), TRIES)
        for p, a in able.items()
        for t, (b, s) in hard.items()
    ]
    return cells, able, hard


def near(found: Mapping[str, Estimate], true: Mapping[str, float], errors: float = 1.96) -> float:
    """The share of what was found that lies within so many of its own standard errors of the truth."""
    return float(np.mean([abs(found[k].value - true[k]) <= errors * found[k].error for k in true]))


def alike(found: Mapping[str, Estimate], true: Mapping[str, float]) -> float:
    return float(np.corrcoef([found[k].value for k in true], [true[k] for k in true])[0, 1])


@pytest.mark.parametrize("model", ["rasch", "2pl"])
def test_known_parameters_are_found_again_within_their_errors(model: Literal["rasch", "2pl"]) -> None:
    cells, able, hard = simulated(model)
    found = fit(cells, model)
    difficulties = {t: b for t, (b, _) in hard.items()}
    assert near(found.difficulty, difficulties) >= 0.9
    assert near(found.ability, able) >= 0.9
    assert alike(found.difficulty, difficulties) > 0.95
    assert alike(found.ability, able) > 0.98
    # errors that were ten times too large would pass the above, and would leave nothing outside of one of them
    assert 0.5 < near(found.difficulty, difficulties, 1.0) < 0.85
    if model == "2pl":
        slopes = {t: s for t, (_, s) in hard.items()}
        assert near(found.slope, slopes) >= 0.85
        assert alike(found.slope, slopes) > 0.6
    assert found.chance("p0", "t0") == pytest.approx(chance(able["p0"], *hard["t0"]), abs=0.15)


def test_it_is_the_maximum_of_the_posterior() -> None:
    cells, _, _ = simulated("2pl")
    found = fit(cells, "2pl")

    def height(moved: str, by: float) -> float:
        total = 0.0
        for c in cells:
            p = chance(found.ability[c.policy].value + by * (c.policy == moved),
                       found.difficulty[c.task].value + by * (c.task == moved), found.slope[c.task].value)  # fmt: skip
            total += c.right * np.log(p) + (c.tries - c.right) * np.log(1 - p)
        total -= sum((e.value + by * (p == moved)) ** 2 for p, e in found.ability.items()) / 2
        total -= sum((e.value + by * (t == moved)) ** 2 / 4 for t, e in found.difficulty.items()) / 2
        return float(total)

    for moved in ("p3", "t5"):
        assert height(moved, 0.0) > max(height(moved, 0.05), height(moved, -0.05))


def test_what_all_get_right_has_a_finite_difficulty_and_a_large_error() -> None:
    found: Fit = fit([Counted("p", "easy", 8, 8), Counted("p", "middle", 4, 8), Counted("p", "hard", 0, 8)])
    easy, middle, hard = (found.difficulty[t] for t in ("easy", "middle", "hard"))
    assert -6 < easy.value < middle.value < hard.value < 6
    assert easy.error > middle.error


def test_tasks_that_two_policies_share_tie_those_that_they_do_not_to_one_scale() -> None:
    """A weak policy right half the time on its own task: that one is easier than a strong policy's."""
    shared = [Counted("weak", "both", 2, 20), Counted("strong", "both", 18, 20)]
    found = fit([*shared, Counted("weak", "a", 10, 20), Counted("strong", "b", 10, 20)])
    assert found.difficulty["b"].value > found.difficulty["a"].value + 1


def test_nothing_tried_and_more_right_than_tried_are_refused() -> None:
    with pytest.raises(DataError, match="nothing to fit"):
        fit([Counted("p", "t", 0, 0)])
    with pytest.raises(DataError, match="right 3 times in 2 tries"):
        fit([Counted("p", "t", 3, 2)])
