"""A page of HTML as a reader meets it: its tables, its text, what it refers to; and whether its elements are closed."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from html.parser import HTMLParser

VOID = {"meta", "img", "br", "link", "input", "hr", "source", "wbr", "col", "base", "area", "embed", "track"}
ADDRESSES = ("src", "href", "xlink:href", "srcset", "action", "poster", "data", "ping", "formaction")


@dataclass
class Table:
    caption: str = ""
    rows: list[list[str]] = field(default_factory=list[list[str]])
    headings_without_scope: int = 0

    def row(self, name: str) -> list[str]:
        return next(row for row in self.rows if row[0].startswith(name))


@dataclass
class Element:
    tag: str
    attributes: dict[str, str]


class WebPage(HTMLParser):
    """Raises ValueError where an element is not closed, or closed without having been opened."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tables: list[Table] = []
        self.elements: list[Element] = []
        self.texts: list[str] = []
        self._open: list[str] = []
        self.feed(html)
        self.close()
        if self._open:
            raise ValueError(f"left open: {self._open}")

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.texts).split())

    def named(self, *tags: str) -> list[Element]:
        return [element for element in self.elements if element.tag in tags]

    def table(self, caption: str) -> Table:
        return next(table for table in self.tables if table.caption.startswith(caption))

    def addresses(self) -> list[str]:
        """All that the page refers to, styles included."""
        found = [value for each in self.elements for name, value in each.attributes.items() if name in ADDRESSES]
        for text in [*self.texts, *(each.attributes.get("style", "") for each in self.elements)]:
            found += re.findall(r"url\(\s*[\"']?([^)\"']*)", text) + re.findall(r"@import\s+(\S+)", text)
        return found

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._begin(tag, attrs)
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._begin(tag, attrs)

    def _begin(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if len({name for name, _ in attrs}) < len(attrs):
            raise ValueError(f"{tag} has an attribute twice")
        attributes = {name: value or "" for name, value in attrs}
        self.elements.append(Element(tag, attributes))
        if tag == "table":
            self.tables.append(Table())
        elif tag == "tr":
            self.tables[-1].rows.append([])
        elif tag in {"td", "th"}:
            self.tables[-1].rows[-1].append("")
            self.tables[-1].headings_without_scope += tag == "th" and "scope" not in attributes

    def handle_endtag(self, tag: str) -> None:
        if not self._open or self._open[-1] != tag:
            raise ValueError(f"</{tag}> closes {self._open[-1:]}")
        self._open.pop()

    def handle_data(self, data: str) -> None:
        self.texts.append(data)
        if "caption" in self._open:
            self.tables[-1].caption += data
        elif {"td", "th"} & set(self._open):
            cells = self.tables[-1].rows[-1]
            cells[-1] = f"{cells[-1]} {data}".strip()
