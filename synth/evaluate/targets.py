"""The figures the voice is held to, beside what was measured: one table at the top of the report."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from synth.evaluate.blocks import between, number
from synth.evaluate.report import Report

AIMED, MET, MISSED, UNKNOWN = "aim reached", "reached", "missed", "not measured"
TOO_FEW = "too few to say"
_FEWEST_SEGMENTS, _FEWEST_CLIPS = 100, 8
_KERNEL_GROUPS = ("growl", "whisper", "song")


@dataclass(frozen=True, slots=True)
class Verdict:
    """One figure: measured in words, and whether it reaches what is asked."""

    what: str
    at_least: str
    aim: str
    measured: str
    outcome: str


def verdicts(report: Report) -> tuple[Verdict, ...]:
    """Every figure of the parts that ran; "not measured" where a part ran and found nothing to measure."""
    return tuple(verdict for judge in _JUDGES for verdict in judge(report))


def _under(value: float, limit: float, aim: float) -> str:
    if not np.isfinite(value):
        return UNKNOWN
    return AIMED if value <= aim else MET if value <= limit else MISSED


def _over(value: float, limit: float, aim: float) -> str:
    return _under(-value, -limit, -aim)


def _pitch(report: Report) -> Sequence[Verdict]:
    found = report.part("pitch")
    if found is None:
        return []
    exact = [f for f in found.figures if f.pitch_drift == 0.0]
    verdicts = []
    for what, attribute, limit, aim in (
        ("median", "median_cents", 5.0, 2.0), ("95 % under", "p95_cents", 15.0, 6.0),
    ):  # fmt: skip
        worst = max((getattr(f, attribute).value for f in exact), default=float("nan"))
        words = f"worst of {len(exact)}: {number(worst)} cents"
        verdicts.append(
            Verdict(f"pitch followed, {what}", f"{limit:g} cents", f"{aim:g}", words, _under(worst, limit, aim))
        )
    gross = max((f.gross_percent for f in exact), default=float("nan"))
    words = f"worst of {len(exact)}: {number(gross)} %"
    return [*verdicts, Verdict("pitch followed, gross errors", "0.5 %", "0.1", words, _under(gross, 0.5, 0.1))]


def _onsets(report: Report) -> Sequence[Verdict]:
    found = report.part("onsets")
    return [
        Verdict(
            f"pitch right, {f.kind}", "95 %", "99", f"{between(f.right_percent)} %",
            TOO_FEW if f.n_clips < _FEWEST_CLIPS else _over(f.right_percent.value, 95.0, 99.0),
        )
        for f in (found.figures if found else ())
    ]  # fmt: skip


def _lanes(report: Report) -> Sequence[Verdict]:
    found = report.part("lanes")
    verdicts = []
    for lane in found.lanes if found else ():
        outcome = _over(lane.rho.low, 0.9, 0.96)
        if lane.rho.n < _FEWEST_SEGMENTS:
            outcome = TOO_FEW
        elif outcome in (AIMED, MET) and not 0.8 <= lane.slope <= 1.2:
            outcome = MISSED
        words = f"{between(lane.rho)} of {number(lane.ceiling, 2)}, slope {number(lane.slope, 2)}"
        verdicts.append(Verdict(f"lane {lane.lane_id}", "rho 0.9 (lower bound), slope 0.8-1.2", "0.96", words, outcome))
    return verdicts


def _crosstalk(report: Report) -> Sequence[Verdict]:
    found = report.part("crosstalk")
    return [
        Verdict(
            f"pitch error added by {f.change} ({f.tracker})", "10 cents", "5", between(f.added_cents),
            _under(f.added_cents.value, 10.0, 5.0),
        )
        for f in (found.figures if found else ())
    ]  # fmt: skip


def _recognition(report: Report) -> Sequence[Verdict]:
    found = report.part("recognition")
    if found is None:
        return []
    return [
        Verdict(
            f"technique named correctly, {what}", "85 %", "95",
            f"{number(value)} % (held-out recordings themselves {number(found.real_percent)} %)",
            _over(value, 85.0, 95.0),
        )
        for what, value in (
            ("recordings sung again", found.sung_percent), ("simulated gestures sung", found.gestures_sung_percent),
        )
    ]  # fmt: skip


def _kernel(report: Report) -> Sequence[Verdict]:
    found = report.part("kernel")
    return [
        Verdict(
            f"kernel distance to real {row.group} ({row.distance}, {row.embedding})", "2x real to real", "1.3x",
            f"{number(row.halves.ratio, 2)} [{number(row.halves.ratio_low, 2)}, {number(row.halves.ratio_high, 2)}]",
            _under(row.halves.ratio, 2.0, 1.3),
        )
        for row in (found.rows if found else ())
        if row.group in _KERNEL_GROUPS and row.distance != "frechet"
    ]  # fmt: skip


def _steps(report: Report) -> Sequence[Verdict]:
    found = report.part("steps")
    rows = {row.n_steps: row for row in found.rows} if found else {}
    return [
        Verdict(
            f"{n_steps}-step student against teacher", "within 10 %" if n_steps == 4 else "", "within 10 %",
            f"worst measure {number(rows[n_steps].worst_percent, 2)} %",
            _under(rows[n_steps].worst_percent, 10.0, 10.0) if n_steps in rows else UNKNOWN,
        )
        for n_steps in (4, 2)
        if n_steps in rows
    ]  # fmt: skip


def _cost(report: Report) -> Sequence[Verdict]:
    found = report.part("cost")
    if found is None:
        return []
    speed = f"{found.times_realtime:.0f}x ({found.n_steps} steps, {found.threads} threads, {found.device})"
    return [
        Verdict("speed", "25x real time", "60x", speed, _over(found.times_realtime, 25.0, 60.0)),
        Verdict(
            "peak memory of this process", "1200 MB", "800 MB", f"{found.peak_memory_mb:.0f} MB",
            _under(found.peak_memory_mb, 1_200.0, 800.0),
        ),
        Verdict(
            "weights of the voice", "60 MB", "30 MB", f"{found.weights_mb:.1f} MB", _under(found.weights_mb, 60.0, 30.0)
        ),
    ]  # fmt: skip


def _codec(report: Report) -> Sequence[Verdict]:
    found = report.part("codec")
    return [
        Verdict(
            f"codec against WORLD, {row.technique}, {row.distance}", "under 1", "0.7", between(row.ratio),
            _under(row.ratio.value, 1.0, 0.7),
        )
        for row in (found.rows if found else ())
    ]  # fmt: skip


def _held(report: Report) -> Sequence[Verdict]:
    """Proofs against self-deception: ablations must worsen every measure, held notes must not loop."""
    ablations, sustained = report.part("proof"), report.part("sustained")
    verdicts = []
    if ablations:
        proofs = [ablation for ablation in ablations if ablation.is_proof]
        worse = sum(ablation.is_worse for ablation in proofs)
        words = f"{worse} of {len(proofs)} distances"
        outcome = AIMED if worse == len(proofs) else MISSED
        verdicts.append(Verdict("frozen or exchanged latents lose", "on every measure", "", words, outcome))
    if sustained:
        words = f"more alike than real notes by {', '.join(sustained.looping.more_alike) or 'no figure'}"
        outcome = MISSED if sustained.looping.repeats or sustained.looping.more_alike else AIMED
        verdicts.append(Verdict("held notes do not loop", "as real ones", "", words, outcome))
    return verdicts


_JUDGES: tuple[Callable[[Report], Sequence[Verdict]], ...] = (
    _pitch, _onsets, _lanes, _crosstalk, _recognition, _kernel, _steps, _cost, _codec, _held,
)  # fmt: skip
