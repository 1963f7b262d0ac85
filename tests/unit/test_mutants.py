"""The deliberate defects can be planted in the source as it is."""

from __future__ import annotations

from tests.mutants.__main__ import ROOT
from tests.mutants.defects import DEFECTS


def test_each_defect_has_one_place() -> None:
    places = {defect.name: (ROOT / defect.file).read_text(encoding="utf-8").count(defect.old) for defect in DEFECTS}
    assert places == dict.fromkeys(places, 1)
    assert len(places) == len(DEFECTS)
    assert all((ROOT / defect.tests).exists() for defect in DEFECTS)
