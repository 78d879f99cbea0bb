"""Is a render a function of the passage alone: twice, in another process, after any history of edits.

Renders the way the instrument does: one clip that follows the edits, cells from a warm cache.
"""

from __future__ import annotations

import math
import multiprocessing
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from app.render.cache import CellCache
from app.render.clip import Clip
from app.render.grid import CELL_S, cells_hearing, n_cells_of, n_samples_of, sample_range
from app.render.renderer import Renderer, RenderRequest
from app.render.report import RenderReport
from app.render.voice import EngineLike
from app.state.edits import draw_points
from app.state.passage import Lane, Note, Passage, Voice
from synth.spec import FRAME_RATE_HZ, SAMPLE_RATE_HZ, Float32Array

Progress = Callable[[int, int], None]

EDIT_S = 1.0
EDITED_LANES = ("pitch", "loudness", "breathiness", "roughness")
_PLACES_IN_A_CELL = 8
_NOTE_S = 1.5
_EDIT_VALUES = {"pitch": (50.0, 64.0), "loudness": (-40.0, -14.0), "breathiness": (0.9, 0.1), "roughness": (0.0, 0.8)}


@dataclass(frozen=True, slots=True)
class Sameness:
    """Two renders of one passage."""

    what: str
    largest_difference: float
    is_identical: bool


@dataclass(frozen=True, slots=True)
class EditFigures:
    """One 1 s edit of a rendered passage.

    resampled_s      sound that went through the diffusion model again
    changed_s        from the first to the last sample that differs from the render before
    elsewhere        samples that differ outside the cells that can hear the edit
    """

    lane_id: str
    at_s: float
    resampled_s: float
    decoded_s: float
    changed_s: float
    elsewhere: int


@dataclass(frozen=True, slots=True)
class DeterminismReport:
    """worst_resampled_s and worst_changed_s by lane are over all places of the edit."""

    weights_hash: str
    quality: str
    duration_s: float
    sameness: tuple[Sameness, ...]
    n_edits: int
    worst_resampled_s: dict[str, float]
    worst_changed_s: dict[str, float]
    changed_elsewhere: int
    edits: tuple[EditFigures, ...]


def gesture_passage(duration_s: float, seed: int = 7) -> Passage:
    """Notes under drawn lanes with a point every quarter of a second, from the first frame to the last."""
    rng = np.random.default_rng(seed)
    times_s = np.arange(0.0, duration_s, 0.25)
    lanes = {"pitch": Lane(tuple((float(t), 57.0 + 5.0 * math.sin(t)) for t in times_s))}
    for lane_id, low, high in (("loudness", -34.0, -16.0), ("breathiness", 0.1, 0.7), ("roughness", 0.0, 0.6)):
        values = rng.uniform(low, high, len(times_s))
        lanes[lane_id] = Lane(tuple(zip(map(float, times_s), map(float, values))))
    starts_s = np.arange(0.0, duration_s - 0.2, _NOTE_S)
    notes = tuple(Note(float(t), min(_NOTE_S - 0.1, duration_s - float(t)), 57.0) for t in starts_s)
    return Passage(duration_s, voices=(Voice(seed=seed, notes=notes, lanes=lanes),))


def edited(passage: Passage, lane_id: str, at_s: float) -> Passage:
    """The passage with EDIT_S of one lane drawn anew from `at_s` on."""
    first, last = _EDIT_VALUES[lane_id]
    stroke = [(at_s, first), (at_s + 0.3 * EDIT_S, last), (at_s + 0.6 * EDIT_S, first), (at_s + EDIT_S, last)]
    return draw_points(passage, 0, lane_id, stroke)


class _Desk:
    """A clip that follows the edits over one warm cache, as in the instrument."""

    def __init__(self, engine: EngineLike, folder: Path, quality: str) -> None:
        self._renderer = Renderer(engine, CellCache())
        self._folder, self._quality = folder, quality
        self._clip: Clip | None = None

    def render(self, passage: Passage) -> tuple[Float32Array, RenderReport]:
        n_samples = n_samples_of(passage.duration_s)
        before = self._clip
        self._clip = Clip(self._folder, n_samples, 0) if before is None else before.follow_up(n_samples, 0)
        if before is not None and before is not self._clip:
            before.delete()
        report = self._renderer.render(RenderRequest(passage, {}, self._quality), self._clip)
        return self._clip.read_mix(0, n_samples), report


def evaluate_determinism(
    engine: EngineLike,
    quality: str,
    *,
    elsewhere: Callable[[Passage, str], Float32Array],
    duration_s: float = 60.0,
    lanes: Sequence[str] = EDITED_LANES,
    n_places: int = _PLACES_IN_A_CELL + 2,
    on_progress: Progress | None = None,
) -> DeterminismReport:
    """Render, render again, elsewhere, and after edits in several orders; then edit one second at many places.

    elsewhere  renders a passage in another process
    """
    passage = gesture_passage(duration_s)
    places_s = _places(duration_s, n_places)
    total = 4 + len(lanes) * len(places_s)

    def tell(done: int) -> None:
        if on_progress is not None:
            on_progress(done, total)

    with tempfile.TemporaryDirectory(prefix="stridor-evaluate-") as name:
        folder = Path(name)
        desk = _Desk(engine, folder, quality)
        base, _ = desk.render(passage)
        tell(1)
        again, _ = _Desk(engine, folder, quality).render(passage)
        sameness = [same("twice in one process", base, again)]
        tell(2)
        sameness.append(same("in two processes", base, elsewhere(passage, quality)))
        tell(3)
        sameness += _after_edits(engine, folder, quality, passage, desk)
        tell(4)
        edits = []
        for lane_id in lanes:
            for at_s in places_s:
                edits.append(_one_edit(desk, passage, base, lane_id, at_s))
                desk.render(passage)
                tell(4 + len(edits))
    return _report(engine, quality, duration_s, sameness, edits)


def same(what: str, a: Float32Array, b: Float32Array) -> Sameness:
    """Compare two renders sample by sample."""
    difference = float(np.max(np.abs(a.astype(np.float64) - b))) if a.shape == b.shape else math.inf
    return Sameness(what, difference, a.shape == b.shape and a.tobytes() == b.tobytes())


def _after_edits(engine: EngineLike, folder: Path, quality: str, passage: Passage, desk: _Desk) -> list[Sameness]:
    """Three edits in two orders over a warm cache, one of them undone and done again, against from scratch."""
    steps = [(lane_id, passage.duration_s * place) for lane_id, place in zip(EDITED_LANES[:3], (0.2, 0.24, 0.6))]
    results = []
    for order in ((0, 1, 2), (2, 1, 0)):
        current = passage
        for index in order:
            before, current = current, edited(current, *steps[index])
            desk.render(current)
            desk.render(before)
        results.append(desk.render(current)[0])
    final = passage
    for step in steps:
        final = edited(final, *step)
    scratch, _ = _Desk(engine, folder, quality).render(final)
    return [
        same(f"edited {words} against from scratch", result, scratch)
        for words, result in zip(("forwards", "backwards"), results)
    ]


def _one_edit(desk: _Desk, passage: Passage, base: Float32Array, lane_id: str, at_s: float) -> EditFigures:
    after, report = desk.render(edited(passage, lane_id, at_s))
    differs = np.flatnonzero((after != base).any(axis=1))
    first_frame = math.floor(at_s * FRAME_RATE_HZ)
    n_samples = len(base)
    heard = cells_hearing(first_frame, math.ceil((at_s + EDIT_S) * FRAME_RATE_HZ), n_cells_of(n_samples))
    start, end = sample_range(heard.start, n_samples)[0], sample_range(heard.stop - 1, n_samples)[1]
    return EditFigures(
        lane_id=lane_id,
        at_s=at_s,
        resampled_s=report.seconds_sampled,
        decoded_s=report.cells_decoded * CELL_S,
        changed_s=(differs[-1] + 1 - differs[0]) / SAMPLE_RATE_HZ if len(differs) else 0.0,
        elsewhere=int(np.sum((differs < start) | (differs >= end))),
    )


def _places(duration_s: float, n_places: int) -> list[float]:
    """The passage's beginning and end, and places that lie differently on the grid of cells."""
    middle_s = CELL_S * math.floor(duration_s / CELL_S / 2)
    steps = [middle_s + CELL_S * index / _PLACES_IN_A_CELL for index in range(_PLACES_IN_A_CELL)]
    return [round(t_s, 4) for t_s in [0.0, duration_s - EDIT_S, *steps]][:n_places]


def _report(
    engine: EngineLike, quality: str, duration_s: float, sameness: Sequence[Sameness], edits: Sequence[EditFigures]
) -> DeterminismReport:
    lanes = sorted({edit.lane_id for edit in edits})
    return DeterminismReport(
        weights_hash=engine.weights_hash,
        quality=quality,
        duration_s=duration_s,
        sameness=tuple(sameness),
        n_edits=len(edits),
        worst_resampled_s={name: max(e.resampled_s for e in edits if e.lane_id == name) for name in lanes},
        worst_changed_s={name: max(e.changed_s for e in edits if e.lane_id == name) for name in lanes},
        changed_elsewhere=sum(edit.elsewhere for edit in edits),
        edits=tuple(edits),
    )


def in_another_process(weights: Path | None, n_threads: int | None) -> Callable[[Passage, str], Float32Array]:
    """A function that renders a passage from scratch in a new process with an engine of its own."""

    def render(passage: Passage, quality: str) -> Float32Array:
        with tempfile.TemporaryDirectory(prefix="stridor-evaluate-") as folder:
            out = Path(folder) / "render.npy"
            work: Any = multiprocessing.get_context("spawn").Process(
                target=_render_to, args=(passage, quality, weights, n_threads, out)
            )
            work.start()
            work.join()
            if work.exitcode != 0:
                raise RuntimeError(f"rendering in another process ended with {work.exitcode}")
            return np.load(out, allow_pickle=False)

    return render


def _render_to(passage: Passage, quality: str, weights: Path | None, n_threads: int | None, out: Path) -> None:
    from synth.engine import Engine  # torch, in the process that renders

    with tempfile.TemporaryDirectory(prefix="stridor-evaluate-") as folder:
        desk = _Desk(Engine.load(weights, device="cpu", n_threads=n_threads), Path(folder), quality)
        np.save(out, desk.render(passage)[0], allow_pickle=False)
