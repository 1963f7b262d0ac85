"""The pages' files come out of a fixed table: no path leads elsewhere, and a strict policy goes with each."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from boxoffice import live
from boxoffice.gateway.messages import Problem, Response
from boxoffice.live.files import TYPES, Files

PAGES = Path(live.__file__).parent / "pages"
GATEWAY = "https://tickets.example:8443"
FOUND = {
    "index.html": "<!doctype html><title>live</title>",
    "buy.html": "<!doctype html><title>buy</title>",
    "operator.html": "<!doctype html><title>operator</title>",
    "live.css": "body {}",
    "live.js": "export {};",
    "charts/chart.js": "export {};",
}
NOT_SERVED = {
    ".hidden.js": "",
    "_drafts/a.js": "",
    "notes.md": "",
    "page.py": "",
    "noend": "",
    "a/b/c/d.js": "",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pages")
    for name, text in (FOUND | NOT_SERVED).items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    (folder.parent / "secret.js").write_text("secret")
    return folder


@pytest.fixture(scope="module")
def files(folder: Path) -> Files:
    return Files(folder, GATEWAY)


def test_a_page_has_its_name_and_its_file(files: Files) -> None:
    assert files.paths == {f"/{name}" for name in FOUND} | {"/", "/buy", "/operator"}
    for path, name in (("/", "index.html"), ("/buy", "buy.html"), ("/operator", "operator.html")):
        assert files.answer("GET", path, None).body == FOUND[name].encode()


@pytest.mark.parametrize(
    ("path", "content_type"),
    [
        ("/", "text/html; charset=utf-8"),
        ("/live.css", "text/css; charset=utf-8"),
        ("/live.js", "text/javascript; charset=utf-8"),
        ("/charts/chart.js", "text/javascript; charset=utf-8"),
    ],
)
def test_the_type_is_said_and_nothing_but_our_own_may_run_or_be_loaded(
    files: Files, path: str, content_type: str
) -> None:
    headers = dict(files.answer("GET", path, None).headers)
    assert headers["content-type"] == content_type
    policy = {words[0]: words[1:] for words in map(str.split, headers["content-security-policy"].split(";"))}
    assert policy["default-src"] == policy["base-uri"] == policy["frame-ancestors"] == ["'none'"]
    assert policy["script-src"] == policy["style-src"] == policy["img-src"] == policy["font-src"] == ["'self'"]
    assert policy["connect-src"] == ["'self'", GATEWAY]
    assert "unsafe" not in headers["content-security-policy"]
    assert headers["referrer-policy"] == "no-referrer"


def test_every_file_of_the_pages_is_served_and_no_type_that_they_have_not() -> None:
    found = {path.relative_to(PAGES) for path in PAGES.rglob("*") if path.is_file()}
    assert Files.of_package("").paths == {f"/{path}" for path in found} | {"/", "/buy", "/operator"}
    assert {path.suffix for path in found} == set(TYPES)


def test_who_has_a_file_already_is_sent_nothing_and_a_changed_one_is_sent(files: Files, tmp_path: Path) -> None:
    first = files.answer("GET", "/live.js", None)
    etag = dict(first.headers)["etag"]
    again = files.answer("GET", "/live.js", etag)
    assert (again.status, again.body, dict(again.headers)["cache-control"]) == (304, b"", "no-cache")
    (tmp_path / "live.js").write_text("export {}; // changed")
    assert Files(tmp_path, "").answer("GET", "/live.js", etag).status == 200


@pytest.mark.parametrize(
    "path",
    [
        "/secret.js",
        "/../secret.js",
        "/..%2fsecret.js",
        "/%2e%2e/secret.js",
        "/charts/../live.js",
        "/charts/./chart.js",
        "//live.js",
        "/live.js/",
        "/live.js%00",
        "/live.js\x00.css",
        "/LIVE.JS",
        "/charts",
        "/charts/",
        "\\live.js",
        "",
        "*",
        "http://elsewhere/live.js",
        "/.hidden.js",
        "/_drafts/a.js",
        "/notes.md",
        "/page.py",
        "/noend",
        "/a/b/c/d.js",
    ],
)
def test_there_is_nothing_beside_the_table(files: Files, path: str) -> None:
    assert refused(files, "GET", path) == "not-found"


@given(st.text(max_size=40) | st.text(alphabet="/.%2fe\\~livechartjs", max_size=40))
def test_no_path_leads_elsewhere(files: Files, path: str) -> None:
    assert path in files.paths or refused(files, "GET", path) == "not-found"


def test_files_are_only_read(files: Files) -> None:
    assert refused(files, "POST", "/") == "method-not-allowed"
    assert isinstance(files.answer("HEAD", "/", None), Response)


def test_a_gateway_of_the_same_origin_adds_nothing_to_the_policy(folder: Path) -> None:
    policy = dict(Files(folder, "").answer("GET", "/", None).headers)["content-security-policy"]
    assert "connect-src 'self'" in policy
    assert "http" not in policy


def refused(files: Files, method: str, path: str) -> str:
    with pytest.raises(Problem) as problem:
        files.answer(method, path, None)
    return problem.value.name
