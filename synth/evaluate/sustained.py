"""Proof against self-deception for held notes: they neither loop, nor grow deaf to their lanes, nor stand too still.

Real held notes are found in the corpus and asked of the model with straight lanes, their own pitch and their singer's
timbre, for half a minute. Excerpts of equal length of both sides are then compared.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from synth.evaluate import looping, straightness
from synth.evaluate.clusters import clustered, clustered_interval
from synth.evaluate.distances import log_mel
from synth.evaluate.held_notes import HeldNote, excerpts, held_gesture, held_notes, with_drift
from synth.evaluate.late_obedience import STEP_LANES, LateObedience, evaluate_late_obedience
from synth.evaluate.report_form import aligned, plain
from synth.evaluate.singing import Singer
from synth.evaluate.statistics import Interval, mean_interval
from synth.evaluate.straightness import Compared, compare, unsteadiness
from synth.evaluate.timebox import Progress, TimeBox
from synth.spec.audio import FRAME_RATE_HZ, HOP_SAMPLES
from synth.spec.controls import Float32Array

if TYPE_CHECKING:
    from synth.engine import Engine

_SETTLE_S = 1.0  # the note's beginning and end are no sustained sound
_LOOP_QUANTILE = 0.95
_NOTES_SHARE = 0.5  # of the time; the lanes asked early and late take the rest
_LIKENESS = ("mean", "peak", "beyond_chance", "outlier", "distance_db")
_N_ELSEWHERE = 2  # stretches of the same note that say what chance gives


@dataclass(frozen=True, slots=True)
class SustainedPlan:
    """How much is sung.

    n_notes     real notes that are held for held_s each, every label in turn
    n_long_notes  real notes long enough for excerpts of looping.EXCERPT_S, held as well: self-similarity is compared
                note by note
    n_excerpts  of each held note, for each kind of excerpt
    drifts      amounts of the sampled residual F0 (0: the lane exactly; 0.5: the default) that are listened to
    step_lanes, step_seeds   late obedience: lanes, and how often each of five steps is sung
    """

    n_notes: int = 12
    n_long_notes: int = 12
    held_s: float = 30.0
    n_excerpts: int = 6
    drifts: tuple[float, ...] = (0.0, 0.5, 1.0)
    step_lanes: tuple[str, ...] = STEP_LANES
    step_seeds: tuple[int, ...] = (0,)
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Likeness:
    """One figure of self-similarity: excerpts of real notes, of the same notes held by the model, and the mean over
    notes of generated - real."""

    figure: str
    real: Interval
    generated: Interval
    difference: Interval


@dataclass(frozen=True, slots=True)
class LoopFigures:
    """Self-similarity of held notes at lags over 0.5 s, each beside the real note it was made from, excerpts of equal
    length.

    likeness      figures of looping.SelfSimilarity; `distance_db` falls where a note stays closer to itself.
                  `beyond_chance` is the peak less looping.chance_peak, of notes with two excerpts or more; real notes
                  cannot be below 0 but by chance, so that is what held notes are judged by
    real_peak_95  95 % quantile of the real excerpts' peaks
    share_over    of generated excerpts whose peak is over that (0.05 for another set of real notes)
    whole_peaks   largest correlation of each whole generated note at any lag up to half its length
    cell_excess   see looping.cell_excess
    """

    n_real: int
    n_generated: int
    likeness: tuple[Likeness, ...]
    real_peak_95: float
    share_over: Interval
    whole_peaks: tuple[float, ...]
    whole_peak_lags_s: tuple[float, ...]
    cell_excess: Interval

    @property
    def more_alike(self) -> tuple[str, ...]:
        """Figures in which held notes are more alike to themselves than real ones, beyond the interval.

        The peak counts less what chance gives, where that is known: a voice of few independent movements has a higher
        one against stretches it shares nothing with as well.
        """
        corrected = any(one.figure == "beyond_chance" and np.isfinite(one.generated.low) for one in self.likeness)
        judged = [found for found in self.likeness if not (corrected and found.figure == "peak")]
        return tuple(found.figure for found in judged if _is_more_alike(found))

    @property
    def repeats(self) -> bool:
        """Whether a note comes back: at one lag that stands out more than in real notes, or in a whole note."""
        outlying = any(found.figure == "outlier" and found.difference.low > 0.0 for found in self.likeness)
        return outlying or max(self.whole_peaks, default=0.0) > self.real_peak_95


def _is_more_alike(found: Likeness) -> bool:
    if found.figure == "beyond_chance":
        # Chance itself is the yardstick: few real notes are long enough to say how far beyond it they go.
        return found.generated.low > 0.0
    return found.difference.high < 0.0 if found.figure == "distance_db" else found.difference.low > 0.0


@dataclass(frozen=True, slots=True)
class SustainedReport:
    """straight: pitch drift -> measure by measure; notes: how many real notes of each label are the yardstick."""

    weights_hash: str
    quality: str
    plan: SustainedPlan
    notes: Mapping[str, int]
    looping: LoopFigures
    straight: Mapping[str, tuple[Compared, ...]]
    late: tuple[LateObedience, ...]

    def to_json(self) -> dict[str, Any]:
        """Plain types only."""
        loops = {"more_alike": list(self.looping.more_alike), "repeats": self.looping.repeats}
        verdict = loops | {"worse_late": [f.lane_id for f in self.late if f.is_worse_late]}
        return plain(self) | {"verdict": verdict}

    def lines(self) -> list[str]:
        """For a person."""
        return [*_loop_lines(self), "", *_straight_lines(self), "", *_late_lines(self)]


def run_sustained(
    engine: Engine,
    corpus_dir: Path,
    *,
    quality: str = "draft",
    plan: SustainedPlan | None = None,
    box: TimeBox | None = None,
    on_progress: Progress | None = None,
) -> SustainedReport:
    """Everything above for the weights of `engine`. Raises UserError without a corpus or the evaluation extra."""
    notes = held_notes(corpus_dir, straightness.EXCERPT_S)
    return evaluate_sustained(Singer(engine, quality), notes, plan or SustainedPlan(), on_progress, box=box)


def evaluate_sustained(
    singer: Singer,
    notes: Sequence[HeldNote],
    plan: SustainedPlan,
    on_progress: Progress | None = None,
    *,
    box: TimeBox | None = None,
) -> SustainedReport:
    """As run_sustained, the real notes given."""
    chosen = [note for note in notes if note.duration_s >= straightness.EXCERPT_S][: plan.n_notes]
    long = [note for note in notes if note.duration_s >= looping.EXCERPT_S][: plan.n_long_notes]
    sung = [*chosen, *(note for note in long if note not in chosen)]
    n_steps = len(plan.step_lanes) * len(plan.step_seeds) * 5
    total = len(sung) + n_steps

    def told(done: float) -> None:
        if on_progress is not None:
            on_progress(done, total)

    listened = plan.drifts[len(plan.drifts) // 2]
    straight: dict[float, list[Float32Array]] = {drift: [] for drift in plan.drifts}
    held: list[tuple[HeldNote, Float32Array]] = []
    box = box or TimeBox()
    for number, note in enumerate(box.take(sung, share=_NOTES_SHARE, least=2)):
        gesture = held_gesture(note, plan.held_s, plan.drifts[0])
        latents = singer.latents(gesture, plan.seed + number)
        for drift in plan.drifts if number < len(chosen) else (listened,):
            audio = _inner(singer.decode(latents, with_drift(gesture.controls, drift), plan.seed + number))
            if number < len(chosen):
                straight[drift].append(audio)
            if drift == listened:
                held.append((note, audio))
        told(number + 1)
    real = [[unsteadiness(piece) for piece in excerpts(note.audio, straightness.EXCERPT_S)] for note in notes]
    compared = {f"{drift:g}": _compared(real, audios, plan) for drift, audios in straight.items()}
    late = evaluate_late_obedience(
        singer, plan.step_lanes, plan.step_seeds, lambda done, _: told(len(sung) + done), box=box
    )
    labels = [note.label for note in notes]
    counts = {label: labels.count(label) for label in sorted(set(labels))}
    return SustainedReport(
        singer.engine.weights_hash, singer.quality, plan, counts, loop_figures(notes, held, plan), compared, late
    )


def loop_figures(
    notes: Sequence[HeldNote], held: Sequence[tuple[HeldNote, Float32Array]], plan: SustainedPlan
) -> LoopFigures:
    """Held notes [n_samples], each with the real note it was made from; `notes` are all the real ones there are.

    Likeness is compared within the notes of looping.EXCERPT_S and more: voices differ in how many independent
    movements they make, so those of other notes are no yardstick.
    """
    every = [_likenesses(excerpts(note.audio, looping.EXCERPT_S)) for note in notes]
    limit = _quantile([found["peak"] for of_note in every for found in of_note])
    real, made = [], []
    for note, audio in held:
        pieces = excerpts(note.audio, looping.EXCERPT_S)
        if pieces:
            real.append(_likenesses(pieces))
            made.append(_likenesses(excerpts(audio, looping.EXCERPT_S, plan.n_excerpts)))
    whole = [looping.self_similarity(audio, least_overlap=0.5) for _, audio in held]

    def compared(figure: str) -> Likeness:
        reals, mades = ([[found[figure] for found in of_note] for of_note in side] for side in (real, made))
        pairs = zip(mades, reals, strict=True)
        differences = [[float(np.mean(a) - np.mean(b))] for a, b in pairs if a and b]
        return Likeness(figure, _mean(reals), _mean(mades), _mean(differences))

    return LoopFigures(
        n_real=sum(map(len, real)),
        n_generated=sum(map(len, made)),
        likeness=tuple(compared(figure) for figure in _LIKENESS),
        real_peak_95=limit,
        share_over=_mean([[float(found["peak"] > limit) for found in of_note] for of_note in made]),
        whole_peaks=tuple(note.peak for note in whole),
        whole_peak_lags_s=tuple(note.peak_lag_s for note in whole),
        cell_excess=mean_interval([looping.cell_excess(audio) for _, audio in held]),
    )


def _likenesses(pieces: Sequence[Float32Array]) -> list[dict[str, float]]:
    """Figures of _LIKENESS of every excerpt of one note."""
    found = []
    sounds = [log_mel(piece) for piece in pieces]
    for index, piece in enumerate(pieces):
        alike = looping.self_similarity(piece)
        elsewhere = [sounds[(index + step) % len(sounds)] for step in range(1, min(len(sounds), 1 + _N_ELSEWHERE))]
        beyond = alike.peak - looping.chance_peak(sounds[index], elsewhere)
        found.append({name: getattr(alike, name, beyond) for name in _LIKENESS})
    return found


def _quantile(peaks: Sequence[float]) -> float:
    return float(np.quantile(peaks, _LOOP_QUANTILE)) if peaks else float("nan")


def _inner(audio: Float32Array) -> Float32Array:
    edge = round(_SETTLE_S * FRAME_RATE_HZ) * HOP_SAMPLES
    return audio[edge : len(audio) - edge]


def _compared(
    real: Sequence[Sequence[Mapping[str, float]]], held: Sequence[Float32Array], plan: SustainedPlan
) -> tuple[Compared, ...]:
    made = [
        [unsteadiness(piece) for piece in excerpts(audio, straightness.EXCERPT_S, plan.n_excerpts)] for audio in held
    ]
    return tuple(
        compare(
            name,
            unit,
            [[piece[name] for piece in pieces] for pieces in real],
            [[piece[name] for piece in pieces] for pieces in made],
        )
        for name, unit in straightness.UNITS.items()
    )


def _mean(values: Sequence[Sequence[float]]) -> Interval:
    return clustered_interval(*clustered(values), lambda flat: float(np.mean(flat)))


def _loop_lines(report: SustainedReport) -> list[str]:
    found = report.looping
    rows = [[one.figure, str(one.real), str(one.generated), str(one.difference)] for one in found.likeness]
    whole = max(zip(found.whole_peaks, found.whole_peak_lags_s), default=(float("nan"), float("nan")))
    return [
        f"{report.quality}: {len(found.whole_peaks)} notes held for {report.plan.held_s:g} s against "
        f"{sum(report.notes.values())} real ones; excerpts of {looping.EXCERPT_S:g} s, lags over "
        f"{looping.SHORTEST_LAG_S:g} s: {'REPEATS' if found.repeats else 'no repetition'}; more alike than real notes "
        f"by {', '.join(found.more_alike) or 'no figure'}",
        *aligned(["self-similarity", f"real (n {found.n_real})", f"held (n {found.n_generated})", "difference"], rows),
        f"peaks over the real ones' 95 % quantile {found.real_peak_95:.3g}: {found.share_over}",
        f"largest correlation of a whole note: {whole[0]:.3g} at {whole[1]:.2f} s; more alike at multiples of a cell "
        f"than beside them by {found.cell_excess}",
    ]


def _straight_lines(report: SustainedReport) -> list[str]:
    rows = [
        [
            f"{found.measure}, drift {drift}",
            f"{found.real_low:.3g} - {found.real_high:.3g} ({found.real_median:.3g})",
            str(found.generated),
            str(found.share_inside),
            found.verdict,
        ]
        for drift, measures in report.straight.items()
        for found in measures
    ]
    header = ["straight lanes", "real 5 % - 95 % (median)", "held, median", "share inside", ""]
    return aligned(header, rows)


def _late_lines(report: SustainedReport) -> list[str]:
    rows = [
        [
            found.lane_id,
            f"{found.early_rho.value:.3f}",
            f"{found.late_rho.value:.3f}",
            f"{found.early_slope:.2f}",
            f"{found.late_slope:.2f}",
            str(found.early_error),
            str(found.late_error),
            str(found.added_error),
            "WORSE" if found.is_worse_late else "as well",
        ]
        for found in report.late
    ]
    header = ["lane", "rho 1-5 s", "rho 25-30 s", "slope", "slope late", "|error|", "|error| late", "added", ""]
    return aligned(header, rows) if rows else []
