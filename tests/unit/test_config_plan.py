"""The plan: what the engine is told of a configuration."""

import tomllib
from pathlib import Path
from typing import Any

from configs import LEAST

from ringway.config.compile import compile_plan
from ringway.config.load import validate
from ringway.control.certificates.certificates import write_self_signed

ROOT = Path(__file__).parents[2]


def plan_of(text: str) -> dict[str, Any]:
    config, found = validate(tomllib.loads(LEAST + text))
    assert config is not None, found
    assert not found
    return compile_plan(config)


def test_upstreams_are_one_only_if_they_agree_in_all(tmp_path: Path) -> None:
    pairs = [write_self_signed(str(tmp_path / name), ["client"]) for name in ("one", "two")]
    more = [
        "",
        "strip_prefix = false",
        'server_name = "h"',  # said twice
        'server_name = "other"',
        "verify = false",
        f'ca_path = "{pairs[0][0]}"',
        f'ca_path = "{pairs[1][0]}"',
        *(f'cert_path = "{certificate}", key_path = "{key}"' for certificate, key in pairs),
        'proxy_protocol = "v1"',
        'proxy_protocol = "v2"',
    ]
    routes = [
        f'"/{number}" = {{ type = "Proxy", url = "https://h/{number}", {text} }}' for number, text in enumerate(more)
    ]
    plain = '"/plain" = { type = "Proxy", url = "http://h:443" }'
    plan = plan_of("\n".join(["[path_routes.x]", *routes, plain]).replace(",  }", " }"))
    assert [route["upstream"] for route in plan["routes"]] == [0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9]
    assert len(plan["upstreams"]) == len(plan["upstream_tls"]) == 10
    first = {"name": "https://h:443", "host": "h", "port": 443, "tls": True, "proxy_protocol": 0}
    assert plan["upstreams"][0] == first
    nothing = {"authorities": None, "certificate": None, "key": None}
    assert plan["upstream_tls"][:3] == [
        {"name": "h", "address": False, "verify": True, **nothing},
        {"name": "other", "address": False, "verify": True, **nothing},
        {"name": "h", "address": False, "verify": False, **nothing},
    ]
    assert plan["upstream_tls"][9] is None


def test_the_plan_has_the_form_of_the_architecture(tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    page.touch()
    plan = plan_of(
        f"""
[host_routes]
"Example.com" = {{ type = "File", path = "{tmp_path}" }}
"*" = {{ type = "Redirect", to = "https://example.com{{path}}" }}
[path_routes."example.com"]
"/api/" = {{ type = "Proxy", url = "http://LocalHost:8080/v2/" }}
"/old" = {{ type = "Proxy", url = "http://localhost:8080", strip_prefix = false }}
"/page" = {{ type = "File", path = "{page}", mode = "memory" }}
"/" = {{ type = "Proxy", url = "http://[::1]" }}
[timeouts]
head = 2.5
"""
    )
    assert plan["upstreams"] == [
        {"name": "http://localhost:8080", "host": "localhost", "port": 8080, "tls": False, "proxy_protocol": 0},
        {"name": "http://[::1]:80", "host": "::1", "port": 80, "tls": False, "proxy_protocol": 0},
    ]
    assert plan["upstream_tls"] == [None, None]
    assert plan["folders"] == [str(tmp_path)]  # a single file is looked up below its folder
    assert plan["hosts"] == [
        {
            "host": "example.com",
            "route": 0,
            "paths": [
                {"prefix": "/api", "route": 2},
                {"prefix": "/old", "route": 3},
                {"prefix": "/page", "route": 4},
                {"prefix": "", "route": 5},
            ],
        },
        {"host": "*", "route": 1, "paths": []},
    ]
    routes = plan["routes"]
    assert routes[0] == {
        "kind": "file",
        "name": 'host_routes."example.com"',
        "prefix": "",
        "strip_prefix": True,
        "folder": 0,
        "single": False,
        "base": "",
        "mode": "sendfile",
        "follow_links": False,
        "dot_files": False,
    }
    assert (routes[1]["kind"], routes[1]["status"]) == ("redirect", 308)
    assert routes[2] == {
        "kind": "proxy",
        "name": 'path_routes."example.com"."/api/"',
        "prefix": "/api",
        "strip_prefix": True,
        "upgrade": ["websocket"],
        "upstream": 0,
        "base": "/v2",
        "half_close": False,
    }
    assert (routes[3]["strip_prefix"], routes[3]["upstream"], routes[3]["base"]) == (False, 0, "")
    assert (routes[4]["single"], routes[4]["mode"], routes[4]["folder"]) == (True, "memory", 0)
    assert routes[4]["base"] == "page.html"
    assert plan["timeouts"]["head_ms"] == 2500
    assert plan["limits"]["head_bytes"] == 8192
    assert plan["access_log"] is False


def test_the_certificate_of_a_link_local_upstream_has_no_zone() -> None:
    plan = plan_of('[host_routes]\nx = { type = "Proxy", url = "https://[fe80::1%25eth0]" }\n')
    assert plan["upstreams"][0]["host"] == "fe80::1%eth0"
    assert plan["upstream_tls"][0]["name"] == "fe80::1"


def prefixes(plan: dict[str, Any], host: str) -> list[str]:
    (entry,) = (entry for entry in plan["hosts"] if entry["host"] == host)
    return [path["prefix"] for path in entry["paths"]]


def test_paths_of_any_host_are_each_hosts_that_does_not_answer_them_itself() -> None:
    to = '{ type = "Redirect", to = "/" }'
    plan = plan_of(
        f"""
[host_routes]
whole = {to}
"*.wild" = {to}
[path_routes]
"*" = {{ "/health" = {to}, "/a/b" = {to}, "/" = {to} }}
whole = {{ "/a" = {to}, "/ab" = {to} }}
root = {{ "/" = {to}, "/health" = {to} }}
part = {{ "/a" = {to} }}
"""
    )
    assert prefixes(plan, "whole") == ["/a", "/ab", "/health"]  # "/a" answers "/a/b" already
    assert prefixes(plan, "root") == ["", "/health", "/a/b"]
    assert prefixes(plan, "*.wild") == ["/health", "/a/b"]
    assert prefixes(plan, "part") == ["/a"]  # the router goes on by itself
    assert prefixes(plan, "*") == ["/health", "/a/b", ""]


def test_limits_and_timeouts_are_the_fields_of_the_snapshot() -> None:
    text = (ROOT / "src/ringway/engine/plan/snapshot.pxd").read_text(encoding="utf-8")

    def fields(struct: str) -> set[str]:
        body = text.split(f"cdef struct {struct}:")[1].split("cdef ")[0]
        return {line.split()[1] for line in body.splitlines() if line.strip().startswith("uint")}

    plan = plan_of("")
    assert set(plan["limits"]) == fields("Limits")
    assert set(plan["timeouts"]) == fields("Timeouts")
