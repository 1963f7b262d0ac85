"""The deliberate defects can be planted in the source as it is, and their table is of these defects."""

from __future__ import annotations

import re

from tests.mutants.__main__ import ROOT, TABLE
from tests.mutants.defects import DEFECTS


def test_each_defect_has_one_place() -> None:
    places = {defect.name: (ROOT / defect.file).read_text(encoding="utf-8").count(defect.old) for defect in DEFECTS}
    assert places == dict.fromkeys(places, 1)
    assert len(places) == len(DEFECTS)
    assert all((ROOT / defect.tests).exists() for defect in DEFECTS)


def test_the_table_shows_that_each_defect_was_caught() -> None:
    rows = re.findall(r"^\| (.+?) \| `(.+?)` \| `(.+?)` \| \d+ \|$", TABLE.read_text(encoding="utf-8"), re.MULTILINE)
    assert [(name, file) for name, file, _ in rows] == [(defect.name, defect.file) for defect in DEFECTS]
    assert not [name for name, _, caught_by in rows if "nothing" in caught_by]
