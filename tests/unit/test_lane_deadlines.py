"""How slowly a client may take its answer, and whether its end is seen."""

import pytest

from ringway.engine.connection import deadlines

MINUTE = 60_000
HOUR = 3_600_000


def test_who_takes_nothing_is_late_after_the_window() -> None:
    assert deadlines.pace(MINUTE, [(1000, 0)]) == MINUTE


@pytest.mark.parametrize("rate", [17, 100, 200])
def test_a_trickle_uses_up_the_credit(rate: int) -> None:
    """It cannot go on for ever, whatever it deals out and when."""
    late = deadlines.pace(MINUTE, [(1000, rate)])
    assert late == pytest.approx(MINUTE / (1 - rate / 256), rel=0.05)
    assert deadlines.pace(MINUTE, [(50_000, 50 * rate)]) < HOUR


@pytest.mark.parametrize("steps", [[(1000, 256)], [(10_000, 2560)], [(59_000, 65536)], [(1, 1)]])
def test_from_the_least_rate_on_nobody_is_late(steps: list) -> None:
    assert deadlines.pace(MINUTE, steps) >= HOUR


def test_the_credit_has_a_bound() -> None:
    """Who took much at once has no more than the window for what comes then."""
    assert deadlines.pace(MINUTE, [(1000, 1 << 30), (MINUTE + 1, 0)]) == MINUTE + 1000
