"""Numbers as text, and comparing without case."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringway.engine.base import spans

NUMBERS = st.integers(0, 2**64 - 1) | st.sampled_from([0, 9, 10, 2**31, 2**32, 2**63, 2**64 - 1])


@given(NUMBERS)
def test_numbers_are_written_in_decimal(value):
    assert spans.number_text(value) == b"%d" % value


@given(NUMBERS)
def test_numbers_are_written_in_hex(value):
    assert spans.hex_text(value) == b"%x" % value


@pytest.mark.parametrize(
    ("text", "lower", "same"),
    [
        (b"Chunked", b"chunked", True),
        (b"chunked", b"chunked", True),
        (b"", b"", True),
        (b"chunke", b"chunked", False),
        (b"[", b"{", False),
        (b"@", b"`", False),
        (b"\r", b"-", False),
    ],
)
def test_case_is_ignored_for_letters_only(text, lower, same):
    assert spans.same_without_case(text, lower) is same
