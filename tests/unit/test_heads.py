"""The lines that a route brings into a head: never longer than their room, whatever the route and the request say."""

from hypothesis import example, given
from hypothesis import strategies as st

from ringway.engine.http.heads import location

TEXT = st.binary(max_size=200).map(lambda text: text.replace(b"\r", b"").replace(b"\n", b""))
TO = st.lists(st.sampled_from([b"{path}", b"{path", b"{", b"}", b"https://a", b"/b?c="]) | TEXT, max_size=30).map(
    b"".join
)


@given(TO, TEXT, TEXT, st.integers(0, 4096))
@example(b"https://a{path}", b"/b", b"?c", 28)
@example(b"https://a{path}", b"/b", b"?c", 27)
@example(b"{path}" * 9, b"/" + b"A" * 2900, b"", 3072)
@example(b"", b"", b"", 0)
def test_location(to: bytes, path: bytes, query: bytes, room: int) -> None:
    whole = b"Location: " + to.replace(b"{path}", path + query) + b"\r\n"
    assert location(to, path, query, room) == (whole if len(whole) <= room else b"")
