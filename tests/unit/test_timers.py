"""The timer wheel: every timer fires once, never early, and not much too late."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringway.engine.base.timers import exercise

TICK, HORIZON = 32, 512 * 32
LATEST = TICK + 1  # the slot is rounded up, and the test's clock moves by a millisecond


def run(now: int, due: list[int], step: int = 1) -> list[tuple[int, int]]:
    return exercise(now, due, max([now, *due]) + 2 * HORIZON, step)


@given(
    st.integers(0, 10**7),
    st.lists(st.one_of(st.integers(-100, 200), st.integers(0, 3 * HORIZON)), max_size=60),
)
def test_each_fires_once_and_in_time(now: int, offsets: list[int]) -> None:
    due = [max(0, now + offset) for offset in offsets]
    fired = run(now, due)
    assert sorted(entry[1] for entry in fired) == sorted(due)
    for when, wanted in fired:
        assert when >= wanted
        assert when <= max(wanted, now) + LATEST


@pytest.mark.parametrize(
    "offset",
    [0, 1, TICK - 1, TICK, TICK + 1, 64 * TICK, HORIZON - TICK, HORIZON - 1, HORIZON, HORIZON + 1, 10 * HORIZON + 7],
)
@pytest.mark.parametrize("now", [0, 1, TICK - 1, HORIZON, 123_456_789])
def test_edges_of_slots_words_and_horizon(now: int, offset: int) -> None:
    ((when, wanted),) = run(now, [now + offset])
    assert wanted == now + offset
    assert wanted <= when <= wanted + LATEST


def test_a_clock_that_jumps_over_the_whole_wheel() -> None:
    due = list(range(0, 5 * HORIZON, 997))
    fired = exercise(0, due, 11 * HORIZON, 10 * HORIZON)
    assert sorted(entry[1] for entry in fired) == due


def test_many_in_one_slot() -> None:
    due = [1000 + i % TICK for i in range(256)]
    assert sorted(entry[1] for entry in run(0, due)) == sorted(due)


def test_no_timer_no_end_of_sleep() -> None:
    assert exercise(0, [], 10_000, 100) == []
