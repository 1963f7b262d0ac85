"""What people see who open the gateway's addresses in a browser."""

from __future__ import annotations

import hashlib
import json
import re
from base64 import b64encode
from html.parser import HTMLParser

import pytest

from boxoffice.gateway import pages
from boxoffice.gateway.messages import Problem, Response
from boxoffice.gateway.problems import TYPES, TYPES_PATH
from tests.unit.gateway_requests import request

BROWSER = {"accept": "text/html,application/xhtml+xml,*/*;q=0.8"}


class Elements(HTMLParser):
    """Sees that each element is closed, and gathers links and texts."""

    VOID = ("meta", "br")

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.links: list[str] = []
        self.text = ""
        self.feed(page)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in self.VOID:
            self.open.append(tag)
        self.links += [value or "" for name, value in attrs if name in ("href", "src")]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def page(response: Response) -> Elements:
    assert response.status == 200
    assert dict(response.headers)["content-type"] == "text/html; charset=utf-8"
    return Elements(response.body.decode())


@pytest.mark.parametrize("kind", TYPES.values(), ids=lambda kind: kind.name)
async def test_each_type_of_problem_has_a_page_that_says_what_to_do(kind: object) -> None:
    found = TYPES[kind.name]  # type: ignore[attr-defined]
    shown = page(await pages.problem(request(**BROWSER), found.name))
    assert found.title in shown.text
    assert found.remedy in shown.text
    assert str(found.status.value) in shown.text
    told = json.loads((await pages.problem(request(), found.name)).body)
    assert told["type"] == TYPES_PATH + found.name
    assert told["remedy"] == found.remedy


async def test_what_is_no_type_of_problem_has_no_page() -> None:
    with pytest.raises(Problem, match="not-found"):
        await pages.problem(request(**BROWSER), "<script>")


async def test_the_pages_lead_to_each_other_and_nowhere_else() -> None:
    index, listed = page(await pages.index(request(**BROWSER))), page(await pages.all_problems(request(**BROWSER)))
    assert {link for link in index.links if "problems" in link} == {"/v1/problems"}
    assert set(listed.links) == {TYPES_PATH + name for name in TYPES}
    assert all(link.startswith("/") and not link.startswith("//") for link in (*index.links, *listed.links))
    assert set(json.loads((await pages.index(request())).body)["links"]) == set(pages.INDEX)
    assert len(json.loads((await pages.all_problems(request())).body)["problems"]) == len(TYPES)


async def test_a_page_may_do_nothing_and_its_style_is_the_one_that_is_allowed() -> None:
    response = await pages.index(request(**BROWSER))
    policy = dict(response.headers)["content-security-policy"]
    [style] = re.findall(rb"<style>(.*?)</style>", response.body)
    assert f"'sha256-{b64encode(hashlib.sha256(style).digest()).decode()}'" in policy
    assert policy.startswith("default-src 'none'")
    assert b"<script" not in response.body
    assert b" style=" not in response.body
