"""Configurations of several files."""

from pathlib import Path

import pytest
from configs import LEAST, errors, write

from ringway.config.document import included
from ringway.config.load import load


def test_included_files_add_to_the_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Relative paths are relative to the file that names them, wherever Ringway is started."""
    (tmp_path / "sites" / "www").mkdir(parents=True)
    (tmp_path / "www").mkdir()
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    site = '[host_routes]\n"{0}.example" = {{ type = "File", path = "www" }}\n'
    write(tmp_path, site.format("b"), "sites/b.toml")
    write(tmp_path, site.format("a") + '[path_routes."*"]\n"/a" = { type = "File", path = "../www" }', "sites/a.toml")
    text = 'include = "sites/*.toml"\n' + LEAST + site.format("main")
    loaded = load(write(tmp_path, text))
    routes = {host: route.model_dump()["path"] for host, route in loaded.config.host_routes.items()}
    assert routes == {
        "main.example": f"{tmp_path}/www",
        "a.example": f"{tmp_path}/sites/www",
        "b.example": f"{tmp_path}/sites/www",
    }
    assert list(routes) == ["main.example", "a.example", "b.example"]
    assert loaded.config.path_routes["*"]["/a/"].model_dump()["path"] == f"{tmp_path}/www"


def test_errors_name_the_file_that_they_are_in(tmp_path: Path) -> None:
    write(tmp_path, '\n[host_routes]\n"a" = { type = "File", path = "no" }\n[server]\nthreads = 2\n', "sites/1.toml")
    write(tmp_path, '[tls]\n[[tls.certificates]]\ncert_path = "x"\n', "sites/2.toml")
    write(tmp_path, '\n[host_routes]\n"a" = { type = "File", path = "/" }\n', "sites/3.toml")
    text = 'include = ["sites/*.toml", "none.toml", "sites"]\n[server]\nlisten = "127.0.0.1:0"\nthreads = 1\n'
    text += '[tls]\n[[tls.certificates]]\ncert_path = "y"\nkey_path = "z"\n'
    found = [line.split(";")[0] for line in errors(tmp_path, text)]
    assert found == [
        'config.toml:1: include: "none.toml" does not exist',
        'config.toml:1: include: "sites" is a folder',
        'config.toml:7: tls.certificates[0].cert_path: "y" does not exist',
        'config.toml:8: tls.certificates[0].key_path: "z" does not exist',
        'sites/1.toml:3: host_routes.a.path: "sites/no" does not exist',
        "sites/1.toml:5: server.threads: is already set at config.toml:4",
        "sites/2.toml:2: tls.certificates[1].key_path: this key is missing",
        "sites/3.toml:3: host_routes.a: is already set at sites/1.toml:3",
    ]


def test_an_included_file_that_is_not_toml(tmp_path: Path) -> None:
    write(tmp_path, "x = ", "sites/1.toml")
    assert errors(tmp_path, 'include = "sites/*"\n' + LEAST)[0].startswith("sites/1.toml:1: not TOML: x has no value")


def redirect(host: str, to: str = "https://example.com") -> str:
    return f'[host_routes]\n"{host}" = {{ type = "Redirect", to = "{to}" }}\n'


def test_included_files_include_others(tmp_path: Path) -> None:
    """Relative to the file that names them, each file once, whoever names it again."""
    write(tmp_path, 'include = ["more/*.toml", "b.toml"]\n' + redirect("a"), "sites/a.toml")
    write(tmp_path / "sites", 'include = "../../other.toml"\n' + redirect("c"), "more/c.toml")
    write(tmp_path, redirect("d"), "other.toml")
    write(tmp_path / "sites", redirect("e"), "more/e.toml")
    write(tmp_path, redirect("b"), "sites/b.toml")
    (tmp_path / "link.toml").symlink_to("other.toml")
    text = 'include = ["sites/*.toml", "link.toml"]\n' + LEAST
    config = load(write(tmp_path, text)).config
    assert list(config.host_routes) == ["a", "c", "d", "e", "b"]
    # By which changes are found.
    files = {"sites/a.toml", "sites/b.toml", "sites/more/c.toml", "sites/more/e.toml", "other.toml", "link.toml"}
    assert set(included(config.include, f"{tmp_path}/config.toml")) == {f"{tmp_path}/{name}" for name in files}


def test_a_pattern_may_match_its_own_file(tmp_path: Path) -> None:
    write(tmp_path, redirect("a"), "a.toml")
    config = load(write(tmp_path, 'include = "*.toml"\n' + LEAST + redirect("main"))).config
    assert list(config.host_routes) == ["main", "a"]
    (error,) = errors(tmp_path, '\ninclude = "config.toml"\n' + LEAST)
    assert error.startswith(
        "config.toml:2: include: files include each other in a loop: config.toml includes config.toml;"
    )


def test_a_pattern_that_matches_nothing_is_warned_about(tmp_path: Path) -> None:
    """The folder may be empty for now; it may also be the wrong one."""
    write(tmp_path, '\ninclude = "b/*.toml"\n' + redirect("a"), "a.toml")
    found = load(write(tmp_path, 'include = [\n"sites/*.toml", "*.toml",\n]\n' + LEAST)).warnings
    assert [line.replace(f"{tmp_path}/", "") for line in found] == [
        'config.toml:2: include: no file matches "sites/*.toml"',
        'a.toml:2: include: no file matches "b/*.toml"',
    ]


def test_files_that_include_each_other(tmp_path: Path) -> None:
    write(tmp_path, '\ninclude = ["x/*.toml"]\n', "a.toml")
    write(tmp_path, 'include = [\n"../b.toml",\n"../a.toml",\n]\n', "x/1.toml")
    write(tmp_path, redirect("b"), "b.toml")
    assert errors(tmp_path, 'include = "a.toml"\n' + LEAST) == [
        "x/1.toml:3: include: files include each other in a loop: config.toml includes a.toml, "
        "which includes x/1.toml, which includes a.toml; remove one of these includes"
    ]


@pytest.mark.parametrize("levels", [8, 9])
def test_how_deep_files_may_include_others(tmp_path: Path, levels: int) -> None:
    for level in range(1, levels):
        write(tmp_path, f'include = "{level + 1}.toml"\n', f"{level}.toml")
    write(tmp_path, redirect("deepest"), f"{levels}.toml")
    text = 'include = "1.toml"\n' + LEAST
    if levels == 8:
        assert list(load(write(tmp_path, text)).config.host_routes) == ["deepest"]
    else:
        (error,) = errors(tmp_path, text)
        assert error.startswith(
            "8.toml:1: include: files are included more than 8 levels deep: config.toml includes 1.toml"
        )


@pytest.mark.parametrize(
    ("include", "expected"),
    [
        ('"none.toml"', 'a.toml:1: include: "none.toml" does not exist; correct the path'),
        ("5", "a.toml:1: include[1]: must be a string, not a number"),
        ("[\n5]", "a.toml:2: include[1]: must be a string, not a number"),
        ('"b.toml"', "b.toml:1: not TOML: x has no value"),
    ],
)
def test_what_is_wrong_in_the_include_of_an_included_file(tmp_path: Path, include: str, expected: str) -> None:
    write(tmp_path, f"include = {include}\n", "a.toml")
    write(tmp_path, "x =\n", "b.toml")
    (error,) = errors(tmp_path, 'include = "a.toml"\n' + LEAST)
    assert error.startswith(expected)
