"""Every reason has a stable name, a status and a sentence, in the order of the enum."""

import re
from pathlib import Path

import pytest

from ringway.engine.base import outcome

PXD = Path(__file__).parents[2] / "src/ringway/engine/base/outcome.pxd"


def enum_names():
    body = re.search(r"cdef enum Reason:\n(.*?)\n    REASON_COUNT", PXD.read_text(), re.S).group(1)
    names = re.findall(r"^    ([A-Z_]+)", body, re.M)
    return [n.removeprefix("REASON_").lower() for n in names]


def test_the_table_follows_the_enum():
    assert [name for name, _, _ in outcome.all_reasons()] == enum_names()


def test_every_reason_is_given_by_somebody():
    paths = [path for path in PXD.parents[1].rglob("*.py") if path.stem != "outcome"]
    words = set(re.findall(r"\w+", "".join(path.read_text() for path in paths)))
    assert [name for name in enum_names()[1:] if name.upper() not in words] == []


def test_sentences_and_statuses():
    for name, status, text in outcome.all_reasons():
        assert re.fullmatch(r"[a-z]+(_[a-z]+)*", name)
        assert status == 0 or 400 <= status <= 505
        assert re.fullmatch(r"[A-Z][^\n]{15,110}\.", text), name
        assert text.isascii()


def statuses_in_comments():
    return re.findall(r"^    ([A-Z_]+) +# .*?\b([45]\d\d)\b", PXD.read_text(), re.M)


@pytest.mark.parametrize(("name", "status"), statuses_in_comments())
def test_the_status_is_what_the_enum_promises(name, status):
    assert dict((n, s) for n, s, _ in outcome.all_reasons())[name.lower()] == int(status)


@pytest.mark.parametrize("number", [-1, 10_000])
def test_a_number_that_is_no_reason_is_answered_as_our_own_fault(number):
    assert outcome.describe(number) == ("unknown", 500, "Unknown reason.")
