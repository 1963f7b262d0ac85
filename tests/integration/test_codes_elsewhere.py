"""Another implementation, with what its language brings along, says the same of every vector."""

from __future__ import annotations

import json
import shutil
import subprocess
from typing import Any

import pytest

from tests.support.codes import BAD, GOOD, VECTORS
from tests.support.office import ROOT

SCRIPT = """
import { readFileSync } from "node:fs";
const { verify, Refused } = await import(process.argv[1]);
const { codes, keyRing } = JSON.parse(readFileSync(0, "utf8"));
const told = [];
for (const code of codes) {
  try {
    told.push(await verify(code, keyRing));
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    told.push(error.verdict);
  }
}
console.log(JSON.stringify(told));
"""


def told_by_node(codes: list[str]) -> list[Any]:
    """What docs/codes.mjs says of these codes."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("there is no node")
    done = subprocess.run(
        [node, "--no-warnings", "--input-type=module", "-e", SCRIPT, (ROOT / "docs" / "codes.mjs").as_uri()],
        input=json.dumps({"codes": codes, "keyRing": VECTORS["key_ring"]}),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    told: list[Any] = json.loads(done.stdout)
    return told


def test_javascript_reads_every_vector_as_we_do() -> None:
    told = told_by_node([vector["code"] for vector in [*GOOD, *BAD]])
    for vector, said in zip(GOOD, told, strict=False):
        assert said == {
            "keyId": vector["key"],
            "eventId": vector["event_id"],
            "ticket": vector["ticket"],
            "seq": str(vector["seq"]),
        }
    assert told[len(GOOD) :] == [vector["verdict"] for vector in BAD]
