"""The figures the voice is held to, beside what was measured: one table at the top of the report."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import numpy as np

from synth.evaluate.blocks import between, number
from synth.evaluate.codec_fidelity import CodecFidelity
from synth.evaluate.cost import CostReport
from synth.evaluate.crosstalk import CrosstalkReport
from synth.evaluate.fidelity import Deviation, FidelityReport
from synth.evaluate.frame_lines import FrameLinesReport
from synth.evaluate.kernel import KernelReport
from synth.evaluate.lanes import LaneFigures, LanesReport
from synth.evaluate.onsets import OnsetsReport
from synth.evaluate.pitch import PitchReport
from synth.evaluate.proof import Ablation
from synth.evaluate.recognition import RecognitionReport
from synth.evaluate.speed import SpeedReport
from synth.evaluate.steps import StepsReport
from synth.evaluate.sustained import SustainedReport
from synth.evaluate.verdict import AIMED, MET, MISSED, NOTED, TOO_FEW, UNKNOWN, Verdict, over, under

_FEWEST_SEGMENTS, _FEWEST_CLIPS, _FEWEST_NOTES, _FEWEST_RECORDINGS = 200, 8, 4, 5
_KERNEL_GROUPS = ("growl", "whisper", "song")
_BUSY = 1.8  # wall time times threads over processor time: beyond it something else had the machine
_STREAMING_DB = -100.0


def verdicts_of(name: str, report: Any) -> tuple[Verdict, ...]:
    """Every figure of a part; "not measured" where it did not run (report None) or found nothing to measure."""
    if report is None:
        return tuple(Verdict(what, limit, aim, "", UNKNOWN) for what, limit, aim in _AWAITED.get(name, ()))
    return tuple(_JUDGES[name](report)) if name in _JUDGES else ()


def _pitch(found: PitchReport) -> Sequence[Verdict]:
    exact = [f for f in found.figures if f.pitch_drift == 0.0]
    verdicts = []
    for what, attribute, limit, aim in (
        ("median", "median_cents", 5.0, 2.0), ("95 % under", "p95_cents", 15.0, 6.0),
    ):  # fmt: skip
        worst = max((getattr(f, attribute).value for f in exact), default=float("nan"))
        own = max((getattr(f, attribute).value for f in found.trackers_alone), default=float("nan"))
        words = f"worst of {len(exact)}: {number(worst)} cents"
        verdicts.append(
            Verdict(
                f"pitch followed, {what}", f"{limit:g} cents", f"{aim:g}", words, under(worst, limit, aim),
                f"{number(own)} cents on simulated voices",
            )
        )  # fmt: skip
    gross = max((f.gross_percent for f in exact), default=float("nan"))
    own = max((f.gross_percent for f in found.trackers_alone), default=float("nan"))
    words, judges = f"worst of {len(exact)}: {number(gross)} %", f"{number(own)} % on simulated voices"
    return [*verdicts, Verdict("pitch followed, gross errors", "0.5 %", "0.1", words, under(gross, 0.5, 0.1), judges)]


def _onsets(found: OnsetsReport) -> Sequence[Verdict]:
    alone = {f.kind: f for f in found.comb_alone}
    verdicts = []
    for f in found.figures:
        known = alone.get(f.kind, alone.get("onset"))
        outcome = TOO_FEW if f.n_clips < _FEWEST_CLIPS else over(f.right_percent.value, 95.0, 99.0)
        words = f"{between(f.right_percent)} % of {f.n_clips} clips"
        judges = "" if known is None else f"{number(known.right_percent.value)} % on simulated {known.kind}"
        verdicts.append(Verdict(f"pitch right, {f.kind}", "95 %", "99", words, outcome, judges))
    return verdicts


def _lanes(found: LanesReport) -> Sequence[Verdict]:
    verdicts = [
        Verdict(f"lane {lane.lane_id}", "rho 0.9 (lower bound), slope 0.8-1.2", "0.96", lane_words(lane), _obeys(lane))
        for lane in found.lanes
    ]
    return [*verdicts, _largest_effect(found)]


def lane_words(lane: LaneFigures) -> str:
    """rho with its interval and ceiling, slope, mean error, n."""
    heard = "" if lane.rho.n == len(lane.asked) else f" of {len(lane.asked)}"
    return (
        f"rho {between(lane.rho)}, ceiling {number(lane.ceiling, 2)}, slope {number(lane.slope, 2)}, mean error "
        f"{number(lane.mean_error.value, 2)} {lane.unit}, n {lane.rho.n}{heard}"
    )


def _obeys(lane: LaneFigures) -> str:
    outcome = over(lane.rho.low, 0.9, 0.96)
    if outcome == UNKNOWN or len(lane.asked) < _FEWEST_SEGMENTS:
        return TOO_FEW if outcome != UNKNOWN else UNKNOWN
    return MISSED if outcome in (AIMED, MET) and not 0.8 <= lane.slope <= 1.2 else outcome


def _largest_effect(found: LanesReport) -> Verdict:
    """What moves most when another lane goes over its whole range, in shares of its own range."""
    table = found.cross_talk
    others = [
        (abs(table.effect[i][j]), asked, measured)
        for i, asked in enumerate(table.rows)
        for j, measured in enumerate(table.columns)
        if asked != measured and np.isfinite(table.effect[i][j])
    ]
    size, asked, measured = max(others, default=(float("nan"), "", ""))
    words = f"{number(size, 2)} of {measured}'s range by all of {asked}" if others else "–"
    return Verdict("cross-talk, largest partial effect", "", "", words, NOTED if others else UNKNOWN)


def _crosstalk(found: CrosstalkReport) -> Sequence[Verdict]:
    verdicts = []
    for f in found.figures:
        outcome = TOO_FEW if f.added_cents.n < _FEWEST_CLIPS else under(f.added_cents.value, 10.0, 5.0)
        words = (
            f"{between(f.added_cents)} cents, {f.added_cents.n} of {f.n_notes} notes; {number(f.octave_percent, 2)} % "
            f"a semitone off, {number(f.unheard_percent, 2)} % of frames unheard"
        )
        verdicts.append(Verdict(f"pitch error added by {f.change} ({f.tracker})", "10 cents", "5", words, outcome))
    return verdicts


def _recognition(found: RecognitionReport) -> Sequence[Verdict]:
    rows = (
        ("recordings sung again", "recordings sung", found.sung_percent),
        ("simulated gestures sung", "simulated gestures sung", found.gestures_sung_percent),
    )
    judges = f"{number(found.real_percent)} % of held-out recordings themselves"
    verdicts = []
    for what, source, value in rows:
        counted = [row for row in found.rows if row.source == source and row.is_validated]
        each = ", ".join(f"{r.technique} {number(r.right_percent.value)} (n {r.right_percent.n})" for r in counted)
        words, outcome = f"{number(value)} %: {each}", over(value, 85.0, 95.0)
        verdicts.append(Verdict(f"technique named correctly, {what}", "85 %", "95", words, outcome, judges))
    return verdicts


def _deviation(rows: Sequence[Deviation]) -> Sequence[Verdict]:
    words = [f"{row.group} {number(row.average_db.value)} dB (n {row.n_recordings})" for row in rows]
    return [Verdict("spectral deviation of recordings sung again", "", "", ", ".join(words), NOTED)]


def _fidelity(found: FidelityReport) -> Sequence[Verdict]:
    words = f"{number(found.mean_ratio)} times real to real, over {len(found.rows)} measures and groups"
    outcome = NOTED if np.isfinite(found.mean_ratio) else UNKNOWN
    return [Verdict("technique fidelity, Wasserstein distances", "", "", words, outcome)]


def _kernel(found: KernelReport) -> Sequence[Verdict]:
    verdicts = [
        Verdict(
            f"kernel distance to real {row.group} ({row.distance}, {row.embedding})", "2x real to real", "1.3x",
            f"{number(row.halves.ratio, 2)} [{number(row.halves.ratio_low, 2)}, {number(row.halves.ratio_high, 2)}], "
            f"{row.halves.n_recordings} recordings",
            under(row.halves.ratio, 2.0, 1.3) if row.halves.n_recordings >= _FEWEST_RECORDINGS else TOO_FEW,
        )
        for row in found.rows
        if row.group in _KERNEL_GROUPS and row.distance != "frechet"
    ]  # fmt: skip
    known = {row.group for row in found.rows}
    left = dict(found.left_out)
    return verdicts + [
        Verdict(f"kernel distance to real {group}", "2x real to real", "1.3x", f"{left.get(group, 0)} excerpts",
                TOO_FEW)
        for group in _KERNEL_GROUPS
        if group not in known
    ]  # fmt: skip


def _steps(found: StepsReport) -> Sequence[Verdict]:
    rows = {row.n_steps: row for row in found.rows[1:]}
    verdicts = []
    for n_steps, limit in ((4, "within 10 %"), (2, "")):
        if n_steps in rows:
            found_changes = [(m.measure, m.change_percent) for m in rows[n_steps].measures]
            changes = ", ".join(f"{name} {c.value:+.2g} % [{c.low:+.2g}, {c.high:+.2g}]" for name, c in found_changes)
            worst = rows[n_steps].worst_percent
            words, outcome = f"worst {number(worst, 2)} %: {changes}", under(worst, 10.0, 10.0)
            what = f"{n_steps}-step student against teacher"
            verdicts.append(Verdict(what, limit, "" if limit else "within 10 %", words, outcome))
        else:
            verdicts.append(Verdict(f"{n_steps}-step student against teacher", limit, "within 10 %", "", UNKNOWN))
    return verdicts


def _cost(found: CostReport) -> Sequence[Verdict]:
    weights = f"{found.weights_mb:.1f} MB; with all that is installed {found.shipped_mb:.1f} MB"
    verdicts = [
        Verdict("weights shipped, all", "60 MB", "30 MB", weights, under(found.shipped_mb, 60.0, 30.0)),
    ]
    peaks = [rendering.peak_memory_mb for rendering in found.renderings]
    if not peaks:
        words = f"no renderer here; this process {found.peak_memory_mb:.0f} MB"
        return [*verdicts, Verdict("peak memory of rendering", "1200 MB", "800 MB", words, UNKNOWN)]
    words = ", ".join(f"{r.peak_memory_mb:.0f} MB for {r.passage_s:g} s" for r in found.renderings)
    return [*verdicts, Verdict("peak memory of rendering", "1200 MB", "800 MB", words, under(max(peaks), 1_200, 800))]


def _speed(found: SpeedReport) -> Sequence[Verdict]:
    is_busy = found.busy >= _BUSY
    busy = f"; the machine was busy, so judged by processor time: {_undisturbed(found):.0f}x" if is_busy else ""
    words = f"{found.times_realtime:.0f}x over {found.passage_s:g} s, {found.threads} threads{busy}"
    judged = over(_undisturbed(found) if is_busy else found.times_realtime, 25.0, 60.0)
    verdicts = [Verdict(f"speed, {found.n_steps} steps", "25x real time", "60x", words, judged)]
    for other in found.others:
        limits = ("250x faster", "600x") if other.peer is None or "baseline" not in other.name else ("", "")
        if other.peer is None:
            verdicts.append(Verdict(f"speed against {other.name}", *limits, other.missing, UNKNOWN))
            continue
        peer = other.peer
        words = (
            f"{number(other.times_faster)}x faster, {number(other.by_processor)}x by processor time "
            f"({peer.n_parameters / 1e6:.0f} M parameters, {peer.step_s:.2f} s a step, 50 steps, {peer.audio_s:.2f} s)"
        )
        times = other.by_processor if is_busy else other.times_faster
        outcome = over(times, 250.0, 600.0) if limits[0] else NOTED
        verdicts.append(Verdict(f"speed against {other.name}", *limits, words, outcome))
    words = "no GPU here" if found.gpu_s is None else f"{1000.0 * found.gpu_s:.0f} ms on {found.gpu}"
    outcome = UNKNOWN if found.gpu_s is None else under(found.gpu_s, 0.1, 0.02)
    return [*verdicts, Verdict("two minutes of voice on a GPU", "100 ms", "20 ms", words, outcome)]


def _undisturbed(found: SpeedReport) -> float:
    """Times real time if the threads had had the machine to themselves."""
    return found.passage_s * found.threads / max(found.processor_s, 1e-9)


def _codec(found: CodecFidelity) -> Sequence[Verdict]:
    verdicts = [
        Verdict(
            f"codec against WORLD, {row.technique}, {row.distance}", "under 1", "0.7",
            f"{between(row.ratio)}, {row.n_recordings} recordings", under(row.ratio.value, 1.0, 0.7),
        )
        for row in found.rows
    ]  # fmt: skip
    streaming = found.streaming_difference_db
    outcome = under(streaming, _STREAMING_DB, _STREAMING_DB)
    return [*verdicts, Verdict("streaming decode against whole", "-100 dB", "", f"{number(streaming)} dB", outcome)]


def _proof(ablations: Sequence[Ablation]) -> Sequence[Verdict]:
    proofs = [ablation for ablation in ablations if ablation.is_proof]
    worse = sum(ablation.is_worse for ablation in proofs)
    failed = ", ".join(f"{a.measure} ({a.ablation})" for a in proofs if not a.is_worse)
    words = f"{worse} of {len(proofs)} distances" + (f"; not {failed}" if failed else "")
    outcome = AIMED if worse == len(proofs) else MISSED
    n = min((a.worsening.n for a in proofs), default=0)
    if n < _FEWEST_CLIPS:
        outcome = TOO_FEW
    words += f"; {n} recordings"
    return [Verdict("frozen, shuffled or exchanged latents lose", "on every measure", "", words, outcome)]


def _frame_lines(found: FrameLinesReport) -> Sequence[Verdict]:
    """A sideband of a tenth (-26 dB a side) is where a buzz begins to be heard; half of that is let pass."""
    worst = {
        "hum at 100 Hz": (found.worst_hum_db, "re the voice"),
        "sidebands at 100 Hz": (found.worst_sideband_db, ""),
    }
    return [
        Verdict(
            f"frame rate heard, {what}",
            "-32 dB",
            "-40",
            f"worst of {len(found.voices)} voices: {number(db)} dB {beside}".rstrip(),
            under(db, -32.0, -40.0),
        )
        for what, (db, beside) in worst.items()
    ]


def _sustained(found: SustainedReport) -> Sequence[Verdict]:
    """Held notes must not loop, must still obey, and must not stand too still."""
    loops = found.looping
    n = len(loops.whole_peaks)
    words = f"{n} notes; more alike to themselves than real notes by {', '.join(loops.more_alike) or 'no figure'}"
    words += "".join(f"; peak beyond chance {one.generated}" for one in loops.likeness if one.figure == "beyond_chance")
    alike = MISSED if loops.repeats or loops.more_alike else AIMED
    deaf = [late.lane_id for late in found.late if late.is_worse_late]
    obeys = f"{len(found.late)} lanes asked early and late; worse late: {', '.join(deaf) or 'none'}"
    verdicts = [
        Verdict("held notes do not loop", "as real ones", "", words, alike),
        Verdict("held notes obey at 25 s", "as at 1 s", "", obeys, MISSED if deaf else AIMED),
    ]
    for drift, measures in found.straight.items():
        outside = [f"{m.measure} {m.verdict}" for m in measures if m.verdict not in ("inside", "undecided")]
        if drift == "0":
            outside = [words for words in outside if not words.startswith("f0_")]  # 0 asks for exactly the lane
        words = ", ".join(outside) or "every measure within the real notes' range"
        what = f"straight lanes are not machine-straight, drift {drift}"
        verdicts.append(Verdict(what, "in the range of real notes", "", words, MISSED if outside else AIMED))
    if n < _FEWEST_NOTES:  # the interval of one note's excerpts knows nothing of other notes
        return [v if v.what.startswith("held notes obey") else replace(v, outcome=TOO_FEW) for v in verdicts]
    return verdicts


_JUDGES: Mapping[str, Callable[[Any], Sequence[Verdict]]] = MappingProxyType(
    {
        "codec": _codec, "pitch": _pitch, "onsets": _onsets, "lanes": _lanes, "crosstalk": _crosstalk,
        "recognition": _recognition, "deviation": _deviation, "fidelity": _fidelity, "kernel": _kernel,
        "steps": _steps, "speed": _speed, "cost": _cost, "proof": _proof, "sustained": _sustained,
        "frame_lines": _frame_lines,
    }
)  # fmt: skip
# What is missing from the table where a part has not run.
_AWAITED: Mapping[str, Sequence[tuple[str, str, str]]] = MappingProxyType(
    {
        "codec": [("codec against WORLD", "under 1", "0.7")],
        "pitch": [("pitch followed", "median 5 cents, 95 % under 15, gross 0.5 %", "2 / 6 / 0.1")],
        "onsets": [("pitch right at onsets, of fry and growl", "95 %", "99")],
        "lanes": [("every lane", "rho 0.9 (lower bound), slope 0.8-1.2", "0.96")],
        "crosstalk": [("pitch error added by breathiness 1, roughness 0.5", "10 cents", "5")],
        "recognition": [("technique named correctly", "85 %", "95")],
        "kernel": [("kernel distance to real growl, whisper, song", "2x real to real", "1.3x")],
        "steps": [("4-step student against teacher", "within 10 %", "2 steps")],
        "speed": [("speed, 4 steps", "25x real time", "60x"), ("speed against others", "250x faster", "600x")],
        "cost": [("peak memory of rendering", "1200 MB", "800 MB"), ("weights shipped, all", "60 MB", "30 MB")],
        "proof": [("frozen, shuffled or exchanged latents lose", "on every measure", "")],
        "sustained": [("held notes do not loop", "as real ones", "")],
    }
)
