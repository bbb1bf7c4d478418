"""How many pipelined requests a turn of the loop serves."""

from ringway.engine.connection import client

TURN_REQUESTS = 128


def test_a_turn_serves_so_many_requests_of_all_clients() -> None:
    """The others are served in the next turn, after its completions."""
    assert client.turns(0) == []
    assert client.turns(TURN_REQUESTS) == [0]
    assert client.turns(2 * TURN_REQUESTS + 44) == [TURN_REQUESTS + 44, 44, 0]
