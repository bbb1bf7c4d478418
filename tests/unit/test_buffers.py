"""Buffers: of the size and number that was said last, while those that are out stay as they are."""

from hypothesis import given
from hypothesis import strategies as st

from ringway.engine.base.buffers import exercise

SMALL, LARGE = 0, 1
ROOM = 1024 + 192
MIB = 1 << 20


def count_of(bound: int, large: int) -> tuple[int, int]:
    """How many there are, small and large."""
    small = bound // 4 // (4096 + ROOM)
    return min(max(small, 64), 65535), min(max((bound - bound // 4) // (large + ROOM), 16), 65535)


def test_the_bound() -> None:
    small, large = count_of(MIB, 65536)
    taken = exercise(MIB, 65536, [("take", LARGE)] * (large + 1))[: large + 1]
    assert taken == [65536 + ROOM] * large + [0]
    # When there are no small ones, large ones do as well.
    taken = exercise(MIB, 65536, [("take", SMALL)] * (small + large + 1))[: small + large + 1]
    assert taken == [4096 + ROOM] * small + [65536 + ROOM] * large + [0]


def test_room_behind_a_full_buffer() -> None:
    """The end of a chunk and the last chunk are in the tail room. Nothing can be appended then."""
    filled = (0, 65535, 65536, 65538, 65536 + 192)
    steps = [("take", LARGE), *(("room", 0, count) for count in filled)]
    assert exercise(MIB, 65536, steps)[1:-2] == [65536, 1, 0, 0, 0]


def test_nothing_changes_when_it_is_the_same() -> None:
    assert exercise(MIB, 65536, [("resize", MIB, 65536), ("resize", 2 * MIB, 65536), ("resize", 2 * MIB, 65536)])[
        :3
    ] == [0, 1, 0]


def test_who_has_one_keeps_it_and_the_next_has_another_size() -> None:
    steps = [("take", LARGE), ("resize", MIB, 16384), ("take", LARGE), ("give", 0), ("take", LARGE), ("give", 1)]
    *found, _, large = exercise(MIB, 65536, steps)
    assert found == [65536 + ROOM, 1, 16384 + ROOM, True, 16384 + ROOM, True]
    assert large == (count_of(MIB, 16384)[1], 1, 0, False)


def test_a_bound_below_what_is_out() -> None:
    """Nothing new is to be begun, what is under way still gets one; given back, use falls below the bound."""
    took: list[tuple[object, ...]] = [("take", LARGE)] * 100
    lowered = [*took, ("resize", MIB, 65536)]
    assert exercise(64 * MIB, 65536, lowered)[-1] == (16, 100, 100, True)
    lowered.append(("take", LARGE))
    assert exercise(64 * MIB, 65536, lowered)[-3] == 65536 + ROOM
    lowered += [("give", number) for number in range(95)]
    assert exercise(64 * MIB, 65536, lowered)[-1] == (16, 6, 5, False)


def test_no_memory_changes_nothing() -> None:
    *found, _, large = exercise(MIB, 65536, [("take", LARGE), ("resize", 1 << 62, 1 << 31), ("take", LARGE)])
    assert found == [65536 + ROOM, -12, 65536 + ROOM]
    assert large == (16, 2, 0, False)


sizes = st.tuples(st.sampled_from([MIB, 3 * MIB, 16 * MIB]), st.sampled_from([16384, 20000, 65536, 1048576]))
moves = st.lists(
    st.one_of(
        st.sampled_from([("take", SMALL), ("take", LARGE)]),
        st.tuples(st.just("give"), st.integers(0, 200)),
        st.tuples(st.just("resize"), sizes),
    ),
    max_size=200,
)


@given(sizes, moves)
def test_no_two_ever_overlap(first: tuple[int, int], moves: list[tuple[str, object]]) -> None:
    """Each is written at both ends and looked at when it is given back; at the end all are, and no old slab is left."""
    steps: list[tuple[object, ...]] = []
    now = first
    held: list[int] = []
    taken = 0
    kinds: list[object] = []
    for name, what in moves:
        if name == "take":
            # What is not there is not taken: the bound has a test of its own.
            if len(held) < 15:
                steps.append((name, what))
                kinds.append(4096 + ROOM if what == SMALL else now[1] + ROOM)
                held.append(taken)
                taken += 1
        elif name == "give" and held:
            assert isinstance(what, int)
            steps.append((name, held.pop(what % len(held))))
            kinds.append(True)
        elif name == "resize":
            assert isinstance(what, tuple)
            steps.append((name, *what))
            kinds.append(int(count_of(*now) != count_of(*what) or now[1] != what[1]))
            now = what
    steps += [("give", number) for number in held]
    kinds += [True] * len(held)
    *found, small, large = exercise(*first, steps)
    assert found == kinds
    assert small == (count_of(*now)[0], 0, 0, False)
    assert large == (count_of(*now)[1], 0, 0, False)
