"""What a page of results is made of: text, tables, figures; and numbers as words."""

from __future__ import annotations

import base64
import html
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from synth.errors import UserError
from synth.evaluate.statistics import Interval


@dataclass(frozen=True, slots=True)
class Text:
    """A paragraph, or lines as they are."""

    words: str
    is_verbatim: bool = False

    def html(self) -> str:
        """Escaped."""
        tag = "pre" if self.is_verbatim else "p"
        return f"<{tag}>{html.escape(self.words)}</{tag}>"


@dataclass(frozen=True, slots=True)
class Table:
    """The first column to the left, the others to the right. marks: a word for each row that becomes its class."""

    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    marks: Sequence[str] = ()

    def html(self) -> str:
        """A table that scrolls by itself when it is wide."""
        head = "".join(f"<th>{html.escape(name)}</th>" for name in self.header)
        body = []
        for index, row in enumerate(self.rows):
            mark = f' class="{html.escape(self.marks[index])}"' if self.marks else ""
            body.append(f"<tr{mark}>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>")
        return f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{"".join(body)}</tbody></table></div>'


@dataclass(frozen=True, slots=True)
class Figure:
    """An SVG element with what it shows."""

    svg: str
    caption: str

    def html(self) -> str:
        """The SVG is ours and stands as it is."""
        return f"<figure>{self.svg}<figcaption>{html.escape(self.caption)}</figcaption></figure>"


@dataclass(frozen=True, slots=True)
class Picture:
    """A PNG file, put into the page itself."""

    path: Path
    caption: str

    def html(self) -> str:
        """As a data address; folded away, for there are many."""
        data = base64.b64encode(self.path.read_bytes()).decode()
        words = html.escape(self.caption)
        return (
            f"<details><summary>{words}</summary>"
            f'<img loading="lazy" alt="{words}" src="data:image/png;base64,{data}"></details>'
        )


Block = Text | Table | Figure | Picture


def drawn(draw: Callable[[], str], caption: str) -> list[Block]:
    """The figure, or nothing where what draws it is not installed (the page says so once, at its end)."""
    try:
        return [Figure(draw(), caption)]
    except UserError:
        return []


def number(value: float, digits: int = 3) -> str:
    """Significant digits; a dash for what is not defined."""
    return f"{value:.{digits}g}" if np.isfinite(value) else "–"


def between(interval: Interval) -> str:
    """value [low, high]."""
    if not np.isfinite(interval.value):
        return "–"
    if not np.isfinite([interval.low, interval.high]).all():
        return number(interval.value)
    return f"{number(interval.value)} [{number(interval.low)}, {number(interval.high)}]"
