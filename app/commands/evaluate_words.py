"""Reports of `stridor evaluate` as lines for a person."""

from __future__ import annotations

from typing import TYPE_CHECKING

from app.commands.terminal import columns

if TYPE_CHECKING:
    from app.commands.evaluate_edits import DeterminismReport
    from synth.evaluate.codec_fidelity import CodecFidelity
    from synth.evaluate.controls import ControlsReport
    from synth.evaluate.pitch import PitchReport
    from synth.evaluate.proof import ProofReport
    from synth.evaluate.resynthesis import ResynthesisReport
    from synth.evaluate.silence import SilenceReport


def controls_lines(report: ControlsReport) -> list[str]:
    """How the lanes obey, and what else moved with them."""
    rows = [
        [
            lane.lane_id,
            str(lane.rho.n),
            str(lane.rho),
            f"{lane.slope:.2f}",
            f"{lane.intercept:.2f}",
            str(lane.mean_error),
            str(lane.mean_absolute_error),
        ]
        for lane in report.lanes
    ]
    header = ["lane", "n", "Spearman", "slope", "intercept", "mean error", "mean |error|"]
    measured = list(next(iter(report.cross_talk.values()), {}))
    cross = [[asked, *(f"{heard[name]:.2f}" for name in measured)] for asked, heard in report.cross_talk.items()]
    return [
        f"{report.quality}: {report.setting}",
        *columns(rows, header=header),
        "",
        "Spearman of each measured lane with the asked one:",
        *columns(cross, header=["asked", *measured]),
    ]


def pitch_lines(report: PitchReport) -> list[str]:
    """Every passage by every tracker, then the trackers on voices whose pitch is known."""
    rows = [
        [
            f"{found.source}, {found.passage}",
            found.tracker,
            f"{found.pitch_drift:g}",
            str(found.n_frames),
            str(found.median_cents),
            str(found.p95_cents),
            f"{found.bias_cents:.1f}",
            f"{found.gross_percent:.2f} %",
            f"{found.missed_percent:.1f} %",
        ]
        for found in (*report.figures, *report.trackers_alone)
    ]
    header = ["passage", "tracker", "drift", "frames", "median cents", "95 % under", "bias", "gross", "unheard"]
    return [report.quality, *columns(rows, header=header)]


def silence_lines(report: SilenceReport) -> list[str]:
    """Levels of every passage."""
    rows = [
        [found.technique, str(found.seed), *(f"{value:.1f}" for value in _levels(found))] for found in report.passages
    ]
    return [
        f"{report.quality}: silence {report.difference_db} dB under the voice, at least {report.lowest_db:.1f} dB; "
        f"its loudest frame {report.worst_frame_db:.1f} dB under it",
        *columns(rows, header=["technique", "seed", "voiced dB", "silent dB", "difference", "loudest frame"]),
    ]


def _levels(found: object) -> list[float]:
    return [getattr(found, name) for name in ("voiced_db", "silent_db", "difference_db", "worst_db")]


def determinism_lines(report: DeterminismReport) -> list[str]:
    """What was the same, and what an edit cost."""
    same = [
        [s.what, "identical" if s.is_identical else f"differs by {s.largest_difference:.2g}"] for s in report.sameness
    ]
    edits = [
        [lane_id, f"{seconds:.1f} s", f"{report.worst_changed_s[lane_id]:.2f} s"]
        for lane_id, seconds in report.worst_resampled_s.items()
    ]
    return [
        f"{report.quality}, {report.duration_s:g} s",
        *columns(same),
        "",
        *columns(edits, header=["1 s edit of", "sampled again, worst", "changed span, worst"]),
        f"{report.n_edits} edits: {report.changed_elsewhere} samples changed outside the cells that hear the edit",
    ]


def proof_lines(report: ProofReport) -> list[str]:
    """Ablations, then takes."""
    rows = [
        [
            a.ablation,
            a.measure,
            str(a.as_sampled),
            str(a.ablated),
            str(a.worsening),
            ("worse" if a.is_worse else "NOT") if a.is_proof else "(for information)",
        ]
        for a in report.ablations
    ]
    takes = [[t.measure, str(t.seeds), str(t.real_takes), str(t.sung_takes)] for t in report.takes]
    pairs = ", ".join(f"{count} {split}" for split, count in report.pairs.items())
    return [
        f"{report.quality}, {report.n_recordings} held-out recordings",
        *columns(rows, header=["latents", "distance", "as sampled", "replaced", "worsening", ""]),
        "",
        f"pairs of takes: {pairs}",
        *columns(takes, header=["distance", "two seeds", "two real takes", "both takes sung"]),
    ]


def resynthesis_lines(report: ResynthesisReport) -> list[str]:
    """Methods by label."""
    rows = [
        [
            f"{row.label}: {row.method}",
            str(row.n_recordings),
            str(row.measures["log_mel_db"]),
            str(row.measures["mr_stft"]),
        ]
        for row in report.rows
    ]
    return [f"{report.quality}: {report.setting}", *columns(rows, header=["", "n", "log-mel dB", "MR-STFT"])]


def codec_lines(report: CodecFidelity) -> list[str]:
    """Techniques by distance, and what bending does."""
    rows = [
        [
            f"{row.technique}: {row.distance}",
            str(row.n_recordings),
            *map(str, (row.codec, row.world, row.floor, row.ratio)),
        ]
        for row in report.rows
    ]
    lines = [
        f"{report.numbers_per_frame} numbers a frame; streaming differs by {report.streaming_difference_db:.0f} dB",
        *columns(rows, header=["", "n", "codec", "WORLD", "floor", "ratio"]),
    ]
    if report.bends:
        bends = [[f"{b.semitones:+d}", str(b.n_recordings), *map(str, b.measures.values())] for b in report.bends]
        lines += ["", *columns(bends, header=["bent by", "n", *report.bends[0].measures])]
    return lines
