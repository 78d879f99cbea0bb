"""The report as one HTML page that needs nothing beside it, and as one JSON object with every number."""

from __future__ import annotations

import html
import importlib.util
from collections import Counter
from dataclasses import replace
from typing import Any

from synth.evaluate.parts import PARTS
from synth.evaluate.report import DONE, NOT_RUN, PartResult, Report
from synth.evaluate.report_form import aligned, plain
from synth.evaluate.verdict import AIMED, MET, MISSED, NOTED, TOO_FEW, UNKNOWN, Verdict

FORMAT, REVISION = "stridor-evaluation", 2
_MARKS = {AIMED: "best", MET: "good", MISSED: "bad", TOO_FEW: "open", UNKNOWN: "open", NOTED: "note"}
_STYLE = """
:root { color-scheme: light dark; --ink: #1c2126; --paper: #fbfaf8; --line: #d8d4cc; --good: #2c7a4b; --bad: #b23b2e;
  --open: #8a6d1f; --shade: #f1eee8; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #dfe3e6; --paper: #16191c; --line: #3a4046; --good: #7cc99a; --bad: #ee8a7c; --open: #d9b968;
    --shade: #1f2428; }
}
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 80rem; padding: 1.5rem; background: var(--paper); color: var(--ink);
  font: 15px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.6rem; margin: 0 0 .3rem; } h2 { font-size: 1.2rem; margin: 2.2rem 0 .3rem; }
nav { line-height: 1.9; } nav a { margin-right: .9rem; white-space: nowrap; } a { color: inherit; }
.about, figcaption, .outcome { opacity: .75; font-size: .88rem; }
.lead { margin: .1rem 0 .3rem; } .cut { color: var(--open); opacity: 1; }
.wide { overflow-x: auto; margin: .6rem 0; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: .86rem; }
th, td { padding: .22rem .7rem; text-align: right; white-space: nowrap; border-bottom: 1px solid var(--line); }
th:first-child, td:first-child { text-align: left; }
th { background: var(--shade); font-weight: 600; }
.figures th, .figures td { text-align: left; white-space: normal; vertical-align: top; }
.figures td:first-child { min-width: 13rem; } .figures td:last-child { white-space: nowrap; }
.figures a { text-decoration: none; } .figures a:hover { text-decoration: underline; }
tr.best td:last-child, tr.good td:last-child { color: var(--good); } tr.best td:last-child { font-weight: 600; }
tr.bad td:last-child { color: var(--bad); font-weight: 600; } tr.open td:last-child { color: var(--open); }
tr.note td:last-child { opacity: .7; }
.tally { display: flex; gap: 1.2rem; flex-wrap: wrap; margin: .4rem 0 .8rem; padding: 0; list-style: none; }
.tally b { font-size: 1.3rem; margin-right: .3rem; } .bad b { color: var(--bad); }
.best b, .good b { color: var(--good); } .open b { color: var(--open); }
figure { margin: 1rem 0; overflow-x: auto; } figure svg { max-width: 100%; height: auto; }
details img { max-width: 100%; height: auto; background: #fff; }
pre { overflow-x: auto; font-size: .82rem; line-height: 1.4; }
"""


def as_json(report: Report, baseline: Report | None = None) -> dict[str, Any]:
    """Every number with its interval and n, plain types only, what is not finite as None."""
    result = {"format": FORMAT, "revision": REVISION, **plain(replace(report, parts=()))}
    parts = [{name: value for name, value in part.to_json().items() if name != "html"} for part in report.parts]
    result |= {"parts": parts, "verdicts": plain(report.verdicts)}
    return result if baseline is None else result | {"baseline": as_json(baseline)}


def as_html(report: Report, baseline: Report | None = None) -> str:
    """The page. It names no other file or host. baseline: another voice's report, beside ours in the figures."""
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
        f"<h2>Figures</h2>\n{_figures(report, baseline)}\n{sections}\n{_baseline_section(baseline)}\n{missing}"
        "</body></html>\n"
    )


def _figures(report: Report, baseline: Report | None) -> str:
    """What is asked and what was measured, counted and then one by one; each links to its section."""
    counts = Counter(verdict.outcome for verdict in report.verdicts)
    tally = "".join(
        f'<li class="{_MARKS[outcome]}"><b>{counts[outcome]}</b>{outcome}</li>' for outcome in _MARKS if counts[outcome]
    )
    beside = {} if baseline is None else {verdict.what: verdict for verdict in baseline.verdicts}
    header = ["what", "at least", "aim", "measured", "the judges themselves", *(["baseline"] if beside else []), ""]
    place = {verdict.what: part.name for part in report.parts for verdict in part.verdicts}
    rows = "".join(_figure_row(verdict, place[verdict.what], beside) for verdict in report.verdicts)
    return (
        '<p class="lead">What is asked of this voice beside what was measured, with 95 % intervals and n. The judges '
        "themselves: what they give where the truth is known; nothing can be shown to be better than that.</p>"
        f'<ul class="tally">{tally}</ul><div class="wide figures"><table><thead><tr>'
        + "".join(f"<th>{name}</th>" for name in header)
        + f"</tr></thead><tbody>{rows}</tbody></table></div>"
    )


def _figure_row(verdict: Verdict, part: str, beside: dict[str, Verdict]) -> str:
    other = beside.get(verdict.what)
    cells = [verdict.at_least, verdict.aim, verdict.measured, verdict.judges]
    cells += [other.measured if other else ""] if beside else []
    cells.append(verdict.outcome)
    first = f'<td><a href="#{part}">{html.escape(verdict.what)}</a></td>'
    rest = "".join(f"<td>{html.escape(cell)}</td>" for cell in cells)
    return f'<tr class="{_MARKS[verdict.outcome]}">{first}{rest}</tr>'


def _baseline_section(baseline: Report | None) -> str:
    if baseline is None:
        return ""
    parts = "\n".join(_section(part, "baseline-") for part in baseline.parts)
    return (
        f'<details id="baseline"><summary><h2 style="display:inline">The waveform baseline, {baseline.quality}</h2>'
        f"</summary>\n{parts}</details>"
    )


def _section(part: PartResult, prefix: str = "") -> str:
    outcome = f"{part.outcome}, {part.seconds:.0f} s, {part.date}" + (f": {part.reason}" if part.reason else "")
    mark = "" if part.outcome in (DONE, NOT_RUN) else " cut"
    about = PARTS[part.name].about if part.name in PARTS else ""
    return (
        f'<section id="{prefix}{part.name}"><h2>{html.escape(part.title)}</h2>'
        f'<p class="lead">{html.escape(about)}</p>'
        f'<p class="outcome{mark}">{html.escape(outcome)}</p>\n{part.html}</section>'
    )


def as_lines(report: Report) -> list[str]:
    """For a person at a terminal: what ran, and the figures."""
    ran = [[part.name, part.outcome, f"{part.seconds:.0f} s", part.reason] for part in report.parts]
    widest = max(map(len, _MARKS))
    figures = [f"{v.outcome:<{widest}}  {v.what}: {v.measured or 'nothing'}{_asked(v)}" for v in report.verdicts]
    return [*aligned(["part", "", "", ""], ran), "", *figures]


def _asked(verdict: Verdict) -> str:
    return f" (asked {verdict.at_least})" if verdict.at_least else ""
