"""Which receive of a stream is in flight."""

import pytest

from ringway.engine.connection import stream

OFF, SINGLE, MULTI, ENDING, END_ONLY = 0, 1, 2, 3, 5


@pytest.mark.parametrize(
    ("steps", "found"),
    [
        (["watch", "want", "cancelled"], [END_ONLY, ENDING, SINGLE]),
        (["watch", "want", "pause", "cancelled"], [END_ONLY, ENDING, ENDING, OFF]),
        (["watch", "want", "pause", "watch", "cancelled"], [END_ONLY, ENDING, ENDING, ENDING, END_ONLY]),
        (["many", "pause", "watch", "cancelled"], [MULTI, ENDING, ENDING, END_ONLY]),
        (["many", "pause", "watch", "pause", "cancelled"], [MULTI, ENDING, ENDING, ENDING, OFF]),
        (["many", "pause", "watch", "want", "cancelled"], [MULTI, ENDING, ENDING, ENDING, SINGLE]),
    ],
)
def test_who_is_watched(steps: list, found: list) -> None:
    """Whatever is being cancelled meanwhile, the last step counts."""
    assert stream.watching(steps) == found
