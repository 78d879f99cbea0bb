"""The report's first table for a page of documentation."""

from __future__ import annotations

from synth.evaluate.report import DONE, Report
from synth.evaluate.verdict import Verdict

_HEADER = ("figure", "at least", "aim", "measured", "", "the judges themselves")


def as_markdown(report: Report, beside: Report | None = None) -> str:
    """Every figure with what is asked of it, and of `beside`, the baseline, what it gives; parts that did not end."""
    lines = [
        f"`{report.command}`, {report.date[:10]}, {report.machine}; weights `{report.weights_hash}`, {report.quality}.",
        "",
        *_table(_HEADER, [_row(verdict) for verdict in report.verdicts]),
    ]
    open_parts = [f"{part.title} ({part.outcome}: {part.reason})" for part in report.parts if part.outcome != DONE]
    if open_parts:
        lines += ["", f"Not whole: {'; '.join(open_parts)}."]
    if beside is not None:
        ours = {verdict.what: verdict.measured for verdict in report.verdicts}
        rows = [(v.what, ours.get(v.what, ""), v.measured) for v in beside.verdicts if v.measured]
        lines += ["", f"The baseline (`{beside.weights_hash}`) by the same measures, of fewer things:", ""]
        lines += _table(("figure", "this voice", "baseline"), rows)
    return "\n".join(lines) + "\n"


def _row(verdict: Verdict) -> tuple[str, ...]:
    return (verdict.what, verdict.at_least, verdict.aim, verdict.measured, verdict.outcome, verdict.judges)


def _table(header: tuple[str, ...], rows: list[tuple[str, ...]]) -> list[str]:
    cells = [[cell.replace("|", "\\|") for cell in row] for row in (header, *rows)]
    cells.insert(1, ["---"] * len(header))
    return [f"| {' | '.join(row)} |" for row in cells]
