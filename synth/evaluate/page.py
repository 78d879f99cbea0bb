"""The report as one HTML page that needs nothing beside it, and as one JSON object with every number."""

from __future__ import annotations

import html
import importlib.util
from dataclasses import replace
from typing import Any

from synth.evaluate.blocks import Block, Table
from synth.evaluate.report import DONE, NOT_RUN, PartResult, Report
from synth.evaluate.report_form import aligned, plain
from synth.evaluate.targets import AIMED, MET, MISSED, verdicts
from synth.evaluate.views import blocks_of

FORMAT, REVISION = "stridor-evaluation", 1
_MARKS = {AIMED: "best", MET: "good", MISSED: "bad"}
_STYLE = """
:root { color-scheme: light dark; --ink: #1c2126; --paper: #fbfaf8; --line: #d8d4cc; --good: #2c7a4b; --bad: #b23b2e; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #dfe3e6; --paper: #16191c; --line: #3a4046; --good: #7cc99a; --bad: #ee8a7c; }
}
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 72rem; padding: 1.5rem; background: var(--paper); color: var(--ink);
  font: 15px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.6rem; margin: 0 0 .3rem; } h2 { font-size: 1.2rem; margin: 2.2rem 0 .5rem; }
nav a { margin-right: .9rem; white-space: nowrap; } a { color: inherit; }
.about, figcaption, .outcome { opacity: .75; font-size: .88rem; }
.wide { overflow-x: auto; margin: .6rem 0; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: .86rem; }
th, td { padding: .22rem .7rem; text-align: right; white-space: nowrap; border-bottom: 1px solid var(--line); }
th:first-child, td:first-child { text-align: left; }
tr.best td:last-child, tr.good td:last-child { color: var(--good); } tr.best td:last-child { font-weight: 600; }
tr.bad td:last-child { color: var(--bad); font-weight: 600; }
figure { margin: 1rem 0; overflow-x: auto; } figure svg { max-width: 100%; height: auto; }
details img { max-width: 100%; height: auto; background: #fff; }
pre { overflow-x: auto; font-size: .82rem; line-height: 1.4; }
"""


def as_json(report: Report) -> dict[str, Any]:
    """Every number with its interval and n, plain types only, what is not finite as None."""
    result = {"format": FORMAT, "revision": REVISION, **plain(replace(report, parts=()))}
    parts = []
    for part in report.parts:
        own = part.report.to_json() if hasattr(part.report, "to_json") else part.report
        parts.append(plain(replace(part, report=None)) | {"report": plain(own)})
    return result | {"parts": parts, "verdicts": plain(verdicts(report))}


def as_html(report: Report) -> str:
    """The page. It names no other file or host."""
    sections = "\n".join(_section(part) for part in report.parts)
    links = " ".join(f'<a href="#{part.name}">{html.escape(part.title)}</a>' for part in report.parts)
    about = (
        f"weights {report.weights_hash[:12]} · {report.quality} · {report.device} · {report.date}<br>"
        f"{html.escape(report.machine)}<br><code>{html.escape(report.command)}</code>"
    )
    missing = "" if importlib.util.find_spec("matplotlib") else "<p>Figures need matplotlib: .[evaluation].</p>"
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>Evaluation of {report.weights_hash[:12]}</title><style>{_STYLE}</style></head><body>\n"
        f'<h1>Evaluation of the voice</h1><p class="about">{about}</p><nav>{links}</nav>\n'
        f"<h2>Figures</h2>{_verdict_table(report).html()}\n{sections}\n{missing}</body></html>\n"
    )


def _verdict_table(report: Report) -> Table:
    found = verdicts(report)
    rows = [[v.what, v.at_least, v.aim, v.measured, v.outcome] for v in found]
    return Table(["what", "at least", "aim", "measured", ""], rows, [_MARKS.get(v.outcome, "open") for v in found])


def _section(part: PartResult) -> str:
    blocks: list[Block] = [] if part.report is None else blocks_of(part.name, part.report)
    outcome = f"{part.outcome}, {part.seconds:.0f} s" + (f": {part.reason}" if part.reason else "")
    body = "\n".join(block.html() for block in blocks)
    mark = "" if part.outcome in (DONE, NOT_RUN) else " cut"
    return (
        f'<section id="{part.name}"><h2>{html.escape(part.title)}</h2>'
        f'<p class="outcome{mark}">{html.escape(outcome)}</p>\n{body}</section>'
    )


def as_lines(report: Report) -> list[str]:
    """For a person at a terminal: what ran, and the figures."""
    ran = [[part.name, part.outcome, f"{part.seconds:.0f} s", part.reason] for part in report.parts]
    figures = [[v.what, v.at_least, v.measured, v.outcome] for v in verdicts(report)]
    lines = aligned(["part", "", "", ""], ran)
    return [*lines, "", *aligned(["figure", "at least", "measured", ""], figures)]
