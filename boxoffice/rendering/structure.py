"""What a page consists of, for those who do not see it: headings, labels, a picture and its text, in reading order.

PDF/UA-1 asks for it (ISO 14289-1). Whatever is drawn is either a part of an element of this tree, by the number of
its marked content, or an artifact, which is passed over.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from reportlab.pdfbase.pdfdoc import PDFArray, PDFDictionary
from reportlab.pdfgen.canvas import Canvas

from boxoffice.rendering.writing import number, text_string

END: Final = "EMC"
"""Ends marked content."""


class Area(NamedTuple):
    """Where a picture stands."""

    left: float
    bottom: float
    right: float
    top: float


@dataclass
class Element:
    """A part of the page: other parts, or what is drawn."""

    role: str
    """One of PDF's standard structure types."""
    parts: list[Element] = field(default_factory=list)
    contents: list[int] = field(default_factory=list)
    alternative: str = ""
    """What a picture is described as."""
    area: Area | None = None

    def add(self, role: str, **described: Any) -> Element:
        """A further part, read after those that are there."""
        self.parts.append(Element(role, **described))
        return self.parts[-1]


class Structure:
    """The tree of a document of one page."""

    def __init__(self) -> None:
        self.document = Element("Document")
        self._owners: list[Element] = []

    def begin(self, element: Element) -> str:
        """What begins content of an element, up to :data:`END`."""
        element.contents.append(len(self._owners))
        self._owners.append(element)
        return f"/{element.role} <</MCID {element.contents[-1]}>> BDC"

    def marked(self, element: Element, operators: str) -> str:
        """What is drawn, as content of an element."""
        return f"{self.begin(element)}\n{operators}\n{END}"

    def add_to(self, canvas: Canvas) -> None:
        """Put the tree into the document."""
        document = canvas._doc
        page = document.thisPageRef()
        root = PDFDictionary({"Type": "/StructTreeRoot"})
        references: dict[int, Any] = {}

        def written(element: Element, parent: Any) -> Any:
            entries = PDFDictionary({"Type": "/StructElem", "S": f"/{element.role}", "P": parent, "Pg": page})
            reference = references[id(element)] = document.Reference(entries)
            entries["K"] = PDFArray([*element.contents, *(written(part, reference) for part in element.parts)])
            if element.alternative:
                entries["Alt"] = text_string(element.alternative)
            if element.area:
                area = " ".join(map(number, element.area))
                entries["A"] = f"<</O /Layout /Placement /Block /BBox [{area}]>>"
            return reference

        root["K"] = written(self.document, document.Reference(root))
        owners = PDFArray([references[id(owner)] for owner in self._owners])
        root["ParentTree"] = PDFDictionary({"Nums": PDFArray([0, document.Reference(owners)])})
        root["ParentTreeNextKey"] = 1
        document.Catalog.StructTreeRoot = root
        document.Catalog.MarkInfo = PDFDictionary({"Marked": "true"})
