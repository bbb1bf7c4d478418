"""Ringway's own responses: their length is bounded, however long the route is."""

import random

import pytest
from harness.raw import message

OFTEN = "https://example.com{path}?a={path}&b={path}&c={path}&d={path}&e={path}&f={path}&g={path}&h={path}&i={path}"
LOCATION_BYTES = 3072 - len("Location: \r\n")
"""The maximum length of a Location's value: LOCATION_BYTES_MAX in heads.pxd."""


def redirecting(ringway, to, **more):
    return ringway({"host_routes": {"*": {"type": "Redirect", "to": to}}, **more})


def test_the_path_ten_times(ringway):
    """One request is rejected, and what other clients have sent so far does not change."""
    server = redirecting(ringway, OFTEN)
    waiting = [server.connect() for _ in range(20)]
    for client in waiting:
        client.send(b"GET /innocent HTTP/1.1\r\nHost: a\r\nX-Half: ")
    with server.connect() as client:
        refused = client.get("/" + "A" * 2900)
        assert (refused.status, refused.reason) == (414, "target_too_long")
    with server.connect() as client:
        assert client.get("/a?b").one("location") == OFTEN.replace("{path}", "/a?b")
    for client in waiting:
        client.send(b"1\r\n\r\n")
        assert client.response().one("location") == OFTEN.replace("{path}", "/innocent")
        client.close()


@pytest.mark.parametrize("to", ["/{path}", "{path}{path}", "https://a{path}/" + "x" * 2000, OFTEN])
def test_up_to_the_bound(ringway, to):
    """The longest path that fits gets a response, and one byte more gets 414, also with other text around the path."""
    server = redirecting(ringway, "https://h/" + to if to.startswith("{") else to)
    to = "https://h/" + to if to.startswith("{") else to
    times = to.count("{path}")
    longest = (LOCATION_BYTES - len(to) + 6 * times) // times
    for length in (longest, longest + 1, longest - 1, longest + 7, 7000):
        path = "/" + "p" * (length - 1)
        with server.connect() as client:
            answer = client.get(path)
            if length <= longest:
                assert answer.status == 308
                assert answer.one("location") == to.replace("{path}", path)
            else:
                assert (answer.status, answer.reason) == (414, "target_too_long")


def test_random_routes(ringway):
    """Long routes and long targets, for every Location that Ringway writes, with and without
    Strict-Transport-Security."""
    rng = random.Random(2026)
    routes = {}
    for number in range(40):
        parts = [rng.choice(["{path}", "x" * rng.randint(1, 900), "?q="]) for _ in range(rng.randint(1, 12))]
        routes[f"h{number}"] = ("/" + "".join(parts))[:2040].rpartition("}")[0] + "}" if "{path}" in parts else "/a"
    routes = {host: to if to.count("{") == to.count("}") else "/b{path}" for host, to in routes.items()}
    server = ringway({"host_routes": {host: {"type": "Redirect", "to": to} for host, to in routes.items()}})
    for host, to in routes.items():
        for _ in range(4):
            target = "/" + "t" * rng.choice([0, 1, 30, rng.randint(0, 3100), 3000]) + rng.choice(["", "?q=1"])
            wanted = to.replace("{path}", target)
            with server.connect() as client:
                answer = client.get(target, host=host)
                if len(wanted) <= LOCATION_BYTES:
                    assert (answer.status, answer.one("location")) == (308, wanted)
                else:
                    assert (answer.status, answer.reason) == (414, "target_too_long")


def test_a_folder_with_a_long_query(ringway, tmp_path):
    """The added slash counts, too."""
    (tmp_path / "d").mkdir()
    server = ringway({"host_routes": {"*": {"type": "File", "path": tmp_path}}})
    with server.connect() as client:
        query = "?" + "q" * (LOCATION_BYTES - len("/d/?"))
        answer = client.get("/d" + query)
        assert (answer.status, answer.one("location")) == (301, "/d/" + query)
    with server.connect() as client:
        answer = client.get("/d" + query + "q")
        assert (answer.status, answer.reason) == (414, "target_too_long")


def test_strict_transport_security_counts(ringway, certificate, tmp_path):
    """A small file from memory is sent in one buffer with its head, if everything fits."""
    for size in range(3000, 4100, 50):
        (tmp_path / str(size)).write_bytes(b"x" * size)
    value = "max-age=1234567890; includeSubDomains; preload"
    server = ringway(
        {
            "tls": {**certificate, "hosts": {"a": {"hsts": value}}},
            "host_routes": {
                "a": {"type": "File", "path": tmp_path, "mode": "memory"},
                "b": {"type": "Redirect", "to": "https://b{path}"},
            },
        }
    )
    with server.connect(tls=True) as client:
        for size in range(3000, 4100, 50):
            answer = client.get(f"/{size}", host="a")
            assert (answer.status, answer.one("strict-transport-security"), len(answer.body)) == (200, value, size)


def test_what_cannot_be_read_ends_the_connection(ringway, tmp_path):
    """9112-9.3: the beginning of the next request is unknown."""
    server = ringway({"host_routes": {"*": {"type": "File", "path": tmp_path}}})
    with server.connect() as client:
        client.send(message("GET / HTTP/1.1", "Host: a", "X: " + "y" * 9000))
        assert client.response().status == 431
        client.assert_ended()
