"""How requests are forwarded: target, fields, body; Expect."""

import pytest
from harness.raw import chunked, message
from hypothesis import given
from hypothesis import strategies as st

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"


def forwarded(site, *fields, method="GET", host="proxied", version="HTTP/1.1", query="", body=b"", hosts=()):
    """The request as the upstream got it."""
    target = site.upstream.on(OK)
    with site.connect() as client:
        lines = hosts or [f"Host: {host}"]
        client.send(message(f"{method} {target}{query} {version}", *lines, *fields, body=body))
        assert client.response(method).status == 200
    return site.upstream.request(target)


# --- fields


def test_head_as_it_leaves(site):
    target = site.upstream.on(OK)
    with site.connect() as client:
        client.send(message(f"GET {target}?a=b HTTP/1.1", "X-One:  1 ", "host: PROXIED:80", "x-two:2", "Accept: */*"))
        assert client.response().status == 200
    request = site.upstream.request(target)
    assert request.head.startswith(f"GET {target}?a=b HTTP/1.1\r\nHost: PROXIED:80\r\n".encode())
    assert request.fields == [
        ("host", "PROXIED:80"),
        ("x-one", "1"),
        ("x-two", "2"),
        ("accept", "*/*"),
        ("x-forwarded-for", "127.0.0.1"),
        ("x-forwarded-proto", "http"),
        ("x-forwarded-host", "PROXIED:80"),
        ("x-forwarded-port", "80"),
    ]


@pytest.mark.parametrize("host", ["proxied", "PrOxIeD", "proxied:8080", "proxied:80", "proxied:"])
def test_host_preserved(site, host):
    """9110-7.2, and first in the head, as recommended there."""
    request = forwarded(site, host=host)
    assert request.fields[0] == ("host", host)
    assert request.one("host") == host


def test_absolute_form(site):
    """9112-3.2.2: accepted, and forwarded in origin-form."""
    target = site.upstream.on(OK)
    with site.connect() as client:
        client.send(message(f"GET http://proxied{target}?q HTTP/1.1", "Host: proxied"))
        assert client.response().status == 200
        client.send(message("GET http://FILES:80 HTTP/1.1", "Host: files"))
        assert client.response().body == b"<p>start</p>"
    request = site.upstream.request(target)
    assert (request.target, request.one("host")) == (f"{target}?q", "proxied")


@pytest.mark.parametrize(
    "field",
    [
        "Connection: keep-alive",
        "Keep-Alive: timeout=5",
        "Proxy-Connection: keep-alive",
        "TE: trailers",
        "Upgrade: websocket",
        "Forwarded: for=1.2.3.4",
    ],
)
def test_hop_by_hop_removed(site, field):
    """9110-7.6.1"""
    name = field.partition(":")[0]
    request = forwarded(site, "X-Stays: 1", field, "X-Stays-Too: 2")
    assert name not in request
    assert request.one("x-stays") == "1"
    assert request.one("x-stays-too") == "2"


def test_proxy_authorization_passes(site):
    """9110-11.7.2: a proxy can forward it, for authentication behind it."""
    request = forwarded(site, "Proxy-Authorization: Basic eDp5")
    assert request.one("proxy-authorization") == "Basic eDp5"


@pytest.mark.parametrize(
    "connection",
    ["x-one, x-two", "X-ONE,,X-Two , close", "x-one\r\nConnection: x-two", "keep-alive, x-two, x-one"],
)
def test_named_by_connection_removed(site, connection):
    """9110-7.6.1: in any case, in a list or in several fields, before and after the field."""
    request = forwarded(site, "X-One: 1", f"Connection: {connection}", "X-Two: 2", "X-Three: 3")
    for name in ("connection", "x-one", "x-two"):
        assert name not in request
    assert request.one("x-three") == "3"


@pytest.mark.parametrize("name", ["host", "content-length", "transfer-encoding", "x-forwarded-for"])
def test_not_named_away(site, name):
    """9110-7.6.1: fields for framing, routing or trust stay, whatever Connection lists."""
    fields = ["Transfer-Encoding: chunked"] if name == "transfer-encoding" else ["Content-Length: 2"]
    body = chunked(b"ab") if name == "transfer-encoding" else b"ab"
    request = forwarded(site, *fields, f"Connection: {name}", method="POST", body=body)
    assert name in request
    assert request.body == b"ab"


@pytest.mark.parametrize(
    "field",
    [
        *("X-Forwarded-For", "x-forwarded-proto", "X-FORWARDED-HOST", "Forwarded", "X-Real-IP"),
        *("X-Forwarded-Port", "X-Forwarded-Prefix", "X-Forwarded-Ssl", "X-Forwarded-Scheme", "X-Forwarded-Server"),
        *("X-Forwarded-By", "x-forwarded", "X-Forwarded-User", "X-Forwarded-Client-Cert", "X-FORWARDED-ANYTHING-ELSE"),
        *("Front-End-Https", "X-Scheme", "X-Url-Scheme", "X-Original-URL", "X-Rewrite-URL", "Proxy", "HTTP2-Settings"),
        # CGI and WSGI map these and the names above to the same name.
        *(
            "X_Forwarded_For",
            "x-forwarded_proto",
            "X_FORWARDED-HOST",
            "X_Real_IP",
            "X_Forwarded_Port",
            "Front_End-Https",
        ),
        *("X_Forwarded-Prefix", "X-Forwarded_Ssl", "X-Forwarded-Client_Cert", "X_Scheme", "HTTP2_Settings"),
    ],
)
def test_forwarded_is_never_trusted(site, field):
    request = forwarded(site, f"{field}: evil", f"{field}: twice")
    assert request.one("x-forwarded-port") == "80"
    assert "x-forwarded-prefix" not in request
    assert request.one("x-forwarded-for") == "127.0.0.1"
    assert request.one("x-forwarded-proto") == "http"
    assert request.one("x-forwarded-host") == "proxied"
    assert b"evil" not in request.head
    assert b"twice" not in request.head


@pytest.mark.parametrize("field", ["Content_Length", "Transfer_Encoding", "transfer-encoding_"])
def test_what_frames_is_not_sent_in_disguise(site, field):
    """3875-4.1.18: for an application behind CGI, `Content_Length` is CONTENT_LENGTH. Other names keep their `_`."""
    request = forwarded(site, f"{field}: 5", "X_Other: stays", "Content-Length: 2", method="POST", body=b"ab")
    assert (field in request) == field.endswith("_")
    assert request.one("x_other") == "stays"
    assert (request.one("content-length"), request.body) == ("2", b"ab")


def test_forwarded_tells_the_client(site):
    target = site.upstream.on(OK)
    with site.server.connect(source="127.0.0.77") as client:
        assert client.get(target, host="proxied:99").status == 200
    request = site.upstream.request(target)
    assert request.one("x-forwarded-for") == "127.0.0.77"
    assert request.one("x-forwarded-host") == "proxied:99"
    assert request.one("x-forwarded-port") == "99"


def test_forwarded_over_tls(ringway, upstream, certificate):
    up = upstream()
    server = ringway(
        {
            "server": {"plain_listen": "127.0.0.1:0"},
            "tls": certificate,
            "host_routes": {"*": {"type": "Proxy", "url": up.url}},
        }
    )
    for tls, scheme in ((True, "https"), (False, "http")):
        with server.connect(tls=tls) as client:
            assert client.get(f"/{scheme}").body == b"hello"
        assert up.request(f"/{scheme}").one("x-forwarded-proto") == scheme
        port = up.request(f"/{scheme}").one("host").partition(":")[2] or {"https": "443", "http": "80"}[scheme]
        assert up.request(f"/{scheme}").one("x-forwarded-port") == port


def test_other_fields_stay_as_they_are(site):
    """9110-5.3: order, repetition, case and content stay, whatever they are."""
    fields = [
        "X-B: 1", "X-A: \xe9\xff", "x-b: 2", "Cookie: a=b; c=d", "Authorization: Basic x", "Accept-Encoding: gzip, br",
        "If-None-Match: \"x\"", "Range: bytes=0-1", "Via: 1.0 fred", "X-Empty:", "Content-Type: a/b", "User-Agent: x",
    ]  # fmt: skip
    request = forwarded(site, *fields)
    lines = request.head.decode("latin-1").split("\r\n")
    assert [line for line in lines if line in fields] == fields


def test_http_1_0(site):
    """9110-2.5, 7.6: forwarded with Ringway's own version. A 1.0 request can have no Host, and then gets one."""
    request = forwarded(site, version="HTTP/1.0")
    assert request.version == "HTTP/1.1"
    assert "connection" not in request


def test_http_1_0_without_host(ringway, upstream):
    """9110-7.2: the upstream still gets a Host."""
    up = upstream()
    server = ringway({"host_routes": {"*": {"type": "Proxy", "url": up.url}}})
    with server.connect() as client:
        client.send(b"GET /x HTTP/1.0\r\n\r\n")
        assert client.response().body == b"hello"
    assert up.request("/x").one("host") == up.authority


# --- targets


@pytest.fixture(scope="module")
def prefixes(running_site, tmp_path_factory):
    """The rules for prefixes, in a separate server."""
    from harness.server import Server

    up = running_site.upstream
    folder = tmp_path_factory.mktemp("static")
    (folder / "a.css").write_text("css")
    (folder / "static").mkdir()
    (folder / "static" / "b.css").write_text("css below static")
    (folder / "one").write_text("one file")

    def proxy(path="", **more):
        return {"type": "Proxy", "url": up.url + path, **more}

    config = {
        "host_routes": {
            "example.com": proxy("/root"),
            "*.example.com": proxy("/sub"),
            "*": proxy("/any"),
            "files": {"type": "File", "path": folder},
        },
        "path_routes": {
            "example.com": {
                "/api/": proxy(),
                "/api/v2/": proxy("/version2"),
                "/based/": proxy("/v2"),
                "/slashed/": proxy("/v3/"),
                "/kept/": proxy("", strip_prefix=False),
                "/in%2Fone/": proxy(),
                "/kept-based/": proxy("/v4", strip_prefix=False),
                "/static/": {"type": "File", "path": folder},
                "/static-kept/": {"type": "File", "path": folder, "strip_prefix": False},
                "/single/": {"type": "File", "path": folder / "one"},
            },
            "files": {"/static/": {"type": "File", "path": folder, "strip_prefix": False}},
            "*": {"/everywhere/": proxy("/everywhere-of-any"), "/api/v2/x/": proxy("/api-of-any")},
        },
    }
    with Server(config, tmp_path_factory.mktemp("prefixes")) as server:
        yield server


@pytest.mark.parametrize(
    ("host", "sent", "arrives"),
    [
        # the prefix is replaced
        ("example.com", "/api/users", "/users"),
        ("example.com", "/api/users/", "/users/"),
        ("example.com", "/api/", "/"),
        ("example.com", "/api", "/"),
        ("example.com", "/api?x=/y/../z", "/?x=/y/../z"),
        ("example.com", "/api/?", "/?"),
        ("example.com", "/based/users", "/v2/users"),
        ("example.com", "/based/", "/v2/"),
        ("example.com", "/based", "/v2"),
        ("example.com", "/slashed/users", "/v3/users"),
        # at segment boundaries
        ("example.com", "/apix", "/root/apix"),
        ("example.com", "/API/users", "/root/API/users"),
        ("example.com", "/x/api/users", "/root/x/api/users"),
        # the longest wins
        ("example.com", "/api/v2/users", "/version2/users"),
        ("example.com", "/api/v2", "/version2"),
        ("example.com", "/api/v2x", "/v2x"),
        # strip_prefix = false
        ("example.com", "/kept/users", "/kept/users"),
        ("example.com", "/kept", "/kept"),
        ("example.com", "/kept-based/users", "/v4/kept-based/users"),
        # hosts: any case, any port, subdomains, any host
        ("EXAMPLE.com:8443", "/api/users", "/users"),
        ("example.com", "/", "/root/"),
        ("www.example.com", "/api/users", "/sub/api/users"),
        ("a.b.example.com", "/x", "/sub/x"),
        ("notexample.com", "/x", "/any/x"),
        ("other", "/everywhere/x", "/everywhere-of-any/x"),
        ("[::1]:80", "/x", "/any/x"),
        # the paths of "*" apply to every host, after its own
        ("example.com", "/everywhere/x", "/everywhere-of-any/x"),
        ("www.example.com", "/everywhere", "/everywhere-of-any"),
        ("example.com", "/api/v2/x/y", "/version2/x/y"),
        ("www.example.com", "/api/v2/x/y", "/api-of-any/y"),
        # dot segments are removed, and the rest is matched
        ("example.com", "/api/./users", "/users"),
        ("example.com", "/api/a/../users", "/users"),
        ("example.com", "/x/../api/users", "/users"),
        ("example.com", "/api/../api/users", "/users"),
        ("example.com", "/api/..", "/root/"),
        ("example.com", "/api/../x", "/root/x"),
        ("example.com", "/api/%2e%2E/x", "/root/x"),
        ("example.com", "/api/.%2e/x", "/root/x"),
        ("example.com", "/api/./%7euser", "/~user"),
        # RFC 9110 7.7: everything else is forwarded as it was sent, and the normal form selects the route
        ("example.com", "/%61pi/users", "/users"),
        ("example.com", "/%61p%69/%75sers", "/%75sers"),
        ("example.com", "/api/%7Euser", "/%7Euser"),
        ("example.com", "/%7euser", "/root/%7euser"),
        ("example.com", "/k%65pt/%7euser", "/k%65pt/%7euser"),
        ("example.com", "/kept-based/%41", "/v4/kept-based/%41"),
        ("example.com", "/based%2d/x%2D", "/root/based%2d/x%2D"),
        ("example.com", "/api/%41", "/%41"),
        ("example.com", "/api/a%2Fb", "/a%2Fb"),
        ("example.com", "/api/a%2fb", "/a%2fb"),
        ("example.com", "/api%2fusers", "/root/api%2fusers"),
        ("example.com", "/api/a%20b%3F%23", "/a%20b%3F%23"),
        ("example.com", "/api/..%2Fx", "/..%2Fx"),
        ("example.com", "/api/%c3%a9", "/%c3%a9"),
        ("example.com", "/api/.a/%c3%a9", "/.a/%c3%a9"),
        # a matched prefix that contains an encoded slash
        ("example.com", "/in%2fone/%7euser", "/~user"),
        ("example.com", "/in%2fone", "/"),
        ("example.com", "/api/%252e", "/%252e"),
        # empty segments do not change, either
        ("example.com", "/api//users", "//users"),
        ("example.com", "//api/users", "/root//api/users"),
        # names that only look like dot segments
        ("example.com", "/api/.../x", "/.../x"),
        ("example.com", "/api/..x/.y", "/..x/.y"),
        # the query does not change
        ("example.com", "/api/x?../%2e%2e/%zz??", "/x?../%2e%2e/%zz??"),
    ],
)
def test_prefix_replaced(prefixes, running_site, host, sent, arrives):
    """RFC 3986 6.2.2, RFC 9110 7.7"""
    before = len(running_site.upstream.requests)
    with prefixes.connect() as client:
        assert client.get(sent, host=host).status == 200
    assert [request.target for request in running_site.upstream.requests[before:]] == [arrives]


@pytest.mark.parametrize(
    ("sent", "told"),
    [
        ("/api/x", "/api"), ("/%61pi/x", "/api"), ("/api", "/api"), ("/api/v2/x", "/api/v2"), ("/based/x", "/based"),
        ("/kept/x", None), ("/x", None), ("/", None),
    ],
)  # fmt: skip
def test_what_was_taken_away_is_told(prefixes, running_site, sent, told):
    before = len(running_site.upstream.requests)
    with prefixes.connect() as client:
        assert client.get(sent, "X-Forwarded-Prefix: /forged", host="example.com").status == 200
    (request,) = running_site.upstream.requests[before:]
    assert [value for name, value in request.fields if name == "x-forwarded-prefix"] == ([told] if told else [])


@pytest.mark.parametrize(
    ("host", "sent", "status", "body"),
    [
        ("example.com", "/static/a.css", 200, b"css"),
        ("example.com", "/static/%61.css", 200, b"css"),
        ("example.com", "/x/../static/a.css", 200, b"css"),
        ("example.com", "/static/x/../a.css", 200, b"css"),
        ("example.com", "/static/static/b.css", 200, b"css below static"),
        ("example.com", "/static-kept/a.css", 404, None),
        ("example.com", "/single/whatever", 200, b"one file"),
        ("example.com", "/single", 200, b"one file"),
        ("files", "/static/b.css", 200, b"css below static"),
        ("files", "/a.css", 200, b"css"),
        ("files", "/static%2Fb.css", 400, None),
        ("example.com", "/static/..%2F..%2Fetc/passwd", 400, None),
    ],
)
def test_prefix_of_files(prefixes, host, sent, status, body):
    with prefixes.connect() as client:
        response = client.get(sent, host=host)
        assert response.status == status
        assert body is None or response.body == body


# --- bodies


@pytest.mark.parametrize("size", [0, 1, 100, 4096, 65536, 99_999])
@pytest.mark.parametrize("coding", ["length", "chunked"])
@pytest.mark.parametrize("together", [True, False], ids=["one segment", "head first"])
def test_body(site, size, coding, together):
    """9112-6: forwarded with the same framing."""
    target = site.upstream.on(OK)
    body = bytes(i * 7 % 251 for i in range(size))
    field = "Transfer-Encoding: chunked" if coding == "chunked" else f"Content-Length: {size}"
    chunks = [body[at : at + 10_000] for at in range(0, size, 10_000)]
    coded = chunked(*chunks) if coding == "chunked" else body
    with site.connect() as client:
        head = message(f"POST {target} HTTP/1.1", "Host: proxied", field)
        if together:
            client.send(head + coded)
        else:
            client.send(head)
            if size and coding == "length":
                site.upstream.request(target)
            client.send(coded)
        assert client.response().status == 200
        assert client.get(target, host="proxied").status == 200
    request = site.upstream.request(target)
    assert request.body == body
    assert request.framing == coding


def test_length_zero_is_forwarded(site):
    """9110-8.6: POST without content is marked as such."""
    assert forwarded(site, "Content-Length: 0", method="POST").one("content-length") == "0"
    assert "content-length" not in forwarded(site, method="POST")


def test_chunked_byte_by_byte(site):
    """9112-7.1"""
    target = site.upstream.on(OK)
    with site.connect() as client:
        head = message(f"POST {target} HTTP/1.1", "Host: proxied", "transfer-encoding: CHUNKED")
        client.send_pieces(head + b'0003;x="y;z"\r\nabc\r\n1;a=b ; c\r\nd\r\n00;last\r\n\r\n')
        assert client.response().status == 200
    assert site.upstream.request(target).body == b"abcd"


@given(data=st.data())
def test_body_in_any_pieces(running_site, data):
    """9112-6, 7.1: the result does not depend on splits."""
    site = running_site
    body = data.draw(st.binary(max_size=300))
    cuts = sorted(data.draw(st.lists(st.integers(0, 400), max_size=6)))
    sizes = data.draw(st.lists(st.integers(1, 50), max_size=6))
    target = site.upstream.on(OK)
    chunks, rest = [], body
    for size in sizes:
        if rest:
            chunks.append(rest[:size])
            rest = rest[size:]
    coded = chunked(*chunks, *([rest] if rest else []))
    stream = message(f"POST {target} HTTP/1.1", "Host: proxied", "Transfer-Encoding: chunked") + coded
    stream += message("GET /a.txt HTTP/1.1", "Host: files")
    with site.connect() as client:
        for begin, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
            if stream[begin:end]:
                client.send(stream[begin:end])
        assert client.response().status == 200
        assert client.response().body == b"a file\n"
    assert site.upstream.request(target).body == body


def test_extensions_are_not_forwarded(site):
    """9112-7.1.1: a recipient ignores unknown extensions; Ringway writes its own chunks."""
    request = forwarded(site, "Transfer-Encoding: chunked", method="POST", body=b"3;evil=1\r\nabc\r\n0;evil\r\n\r\n")
    assert request.body == b"abc"
    assert b"evil" not in request.link.reader.received.rpartition(request.head)[2]


def test_trailers(site):
    """9110-6.5: forwarded, except those for framing, routing and authentication."""
    trailers = (
        "X-Sum: 1\r\nContent-Length: 9\r\nHost: evil\r\nTransfer-Encoding: x\r\nAuthorization: evil\r\nX-Two: 2\r\n"
    )
    body = chunked(b"abc", trailers=trailers)
    request = forwarded(site, "Transfer-Encoding: chunked", "Trailer: X-Sum", method="POST", body=body)
    assert request.body == b"abc"
    assert request.trailers == [("x-sum", "1"), ("x-two", "2")]


def test_body_of_get_to_files(site):
    """9110-9.3.1: content in GET has no meaning, but the next request follows it."""
    with site.connect() as client:
        client.send(message("GET /a.txt HTTP/1.1", "Host: files", "Content-Length: 3", body=b"abc"))
        assert client.response().body == b"a file\n"
        client.send(message("GET /a.txt HTTP/1.1", "Host: files", "Transfer-Encoding: chunked", body=chunked(b"abc")))
        assert client.response().body == b"a file\n"
        client.send(message("GET /t HTTP/1.1", "Host: files"))
        assert client.response().body == b"t\n"


def test_body_of_get_to_files_that_comes_late(site):
    """9112-9.3: the rest of a body that has not arrived before the response is not read. The response announces the
    close."""
    with site.connect() as client:
        client.send(message("GET /a.txt HTTP/1.1", "Host: files", "Content-Length: 30"))
        response = client.response()
        assert response.body == b"a file\n"
        assert not response.keeps
        client.try_send(b"GET /a.txt HTTP/1.1\r\nHost: f")
        client.assert_ended()


# --- Expect


def test_expect_passed_on(site):
    """9110-10.1.1: the client gets the upstream's 100 before it sends its body."""
    order = []

    def serve(link, request):
        order.append(request.one("expect"))
        link.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        order.append(link.body(request))
        link.send(OK)

    target = site.upstream.on(serve)
    with site.connect() as client:
        fields = ["Host: proxied", "Expect: 100-continue", "Content-Length: 3"]
        client.send(message(f"POST {target} HTTP/1.1", *fields))
        response = client.response()
        assert response.status == 100
        assert "content-length" not in response
        client.send(b"abc")
        response = client.response()
        assert response.status == 200
        assert response.keeps
        assert client.get("/a.txt", host="files").status == 200
    assert order == ["100-continue", b"abc"]


@pytest.mark.parametrize("status", [200, 403, 417])
def test_expect_answered_at_once(site, status):
    """9110-10.1.1: a final response without 100. The body may never come, so the connection ends."""

    def serve(link, request):
        link.send(message(f"HTTP/1.1 {status} x", "Content-Length: 2", body=b"no"))
        link.to_end()
        link.close()

    target = site.upstream.on(serve)
    with site.connect() as client:
        fields = ["Host: proxied", "Expect: 100-continue", "Content-Length: 3"]
        client.send(message(f"POST {target} HTTP/1.1", *fields))
        response = client.response()
        assert (response.status, response.body) == (status, b"no")
        client.assert_ended()


def test_expect_with_the_body_at_once(site):
    """9110-10.1.1: a client need not wait."""

    def serve(link, request):
        link.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        link.body(request)
        link.send(OK)

    target = site.upstream.on(serve)
    with site.connect() as client:
        fields = ["Host: proxied", "expect: 100-Continue", "Content-Length: 3"]
        client.send(message(f"POST {target} HTTP/1.1", *fields, body=b"abc"))
        assert [client.response().status for _ in range(2)] == [100, 200]
        assert client.get("/a.txt", host="files").status == 200


def test_expect_of_http_1_0(site):
    """9110-10.1.1: ignored, and such a client gets no 1xx."""

    def serve(link, request):
        link.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        link.body(request)
        link.send(OK)

    target = site.upstream.on(serve)
    with site.connect() as client:
        fields = ["Host: proxied", "Expect: 100-continue", "Content-Length: 3"]
        client.send(message(f"POST {target} HTTP/1.0", *fields, body=b"abc"))
        assert client.response().status == 200
        client.assert_ended()


def test_expect_to_files(site):
    """9110-10.1.1: the final response at once."""
    with site.connect() as client:
        client.send(message("PUT /a.txt HTTP/1.1", "Host: files", "Expect: 100-continue", "Content-Length: 3"))
        response = client.response()
        assert response.status == 405
        assert not response.keeps
        client.assert_ended()
