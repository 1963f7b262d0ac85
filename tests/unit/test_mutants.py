"""The deliberate defects can be planted in the source as it is."""

from __future__ import annotations

import re

from tests.mutants.__main__ import DOCUMENT, ROOT
from tests.mutants.defects import DEFECTS


def test_each_defect_has_one_place() -> None:
    places = {defect.name: (ROOT / defect.file).read_text(encoding="utf-8").count(defect.old) for defect in DEFECTS}
    assert places == dict.fromkeys(places, 1)
    assert len(places) == len(DEFECTS)
    assert all((ROOT / defect.tests).exists() for defect in DEFECTS)


def test_the_document_has_each_defect_and_what_caught_it() -> None:
    rows = re.findall(r"^\| (.+?) \| `(\S+)` \| `tests/[^`]+` \| \d+ s \|$", DOCUMENT.read_text(), re.MULTILINE)
    assert dict(rows) == {defect.name: defect.file for defect in DEFECTS}
