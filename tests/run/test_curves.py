"""What a terminal is shown of an update's curves."""

from __future__ import annotations

import io

from instar.run.curves import in_words, spark
from instar.run.progress import SafeConsole


def test_bars_rise_and_fall_with_the_values_and_many_are_averaged() -> None:
    assert spark([0, 1, 2, 3, 4, 5, 6, 7]) == "▁▂▃▄▅▆▇█"
    assert spark([3, 1, 2]) == "█▁▅"
    assert len(spark(range(1000))) == 24
    assert spark(range(1000)) == "".join(sorted(spark(range(1000))))


def test_a_flat_curve_is_flat_and_one_value_is_no_picture() -> None:
    assert spark([0.5] * 4) == "▄▄▄▄"
    assert in_words({"step": {"loss": [(1, 2.5)]}}) == ["1 step: loss 2.5"]
    assert in_words({"step": {}}) == in_words({}) == []


def test_a_unit_has_a_line_with_its_known_figures_in_order() -> None:
    series = {
        "step": {"gradient_norm": [(1, 2.0), (2, 1.0), (3, 0.0)], "loss": [(1, 3.0), (2, 2.0)], "odd": [(1, 1.0)]}
    }
    assert in_words(series) == ["3 steps: loss 3 -> 2, gradient norm 2 -> 0 █▅▁"]


def test_a_place_that_cannot_show_bars_is_shown_the_figures() -> None:
    for encoding, wanted in (("ascii", "loss 3 -> 1 ???"), ("cp1252", "loss 3 -> 1 ???"), ("utf-8", "loss 3 -> 1 █▅▁")):
        place = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
        (line,) = in_words({"step": {"loss": [(1, 3.0), (2, 2.0), (3, 1.0)]}})
        SafeConsole(file=place, width=100).print(line, markup=False)
        place.flush()
        assert wanted in place.buffer.getvalue().decode(encoding)  # type: ignore[attr-defined]  # it is a BytesIO
