"""The render under way: planned, sampled cell by cell, heard as soon as it is worth it, and told of."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from app.render import events
from app.render.cache import CellCache
from app.render.clips import ClipShelf
from app.render.faults import render_failed
from app.render.grid import CELL_S, cell_at, n_samples_of
from app.render.loading import PresetLoader, presets_of
from app.render.messages import CellsWritten, ClipReady, Render, Reply
from app.render.pipe import Disconnected
from app.render.renderer import RenderJob, RenderRequest
from app.render.report import RenderReport
from app.render.voice import EngineLike, ShouldStop
from synth.errors import Cancelled

_log = logging.getLogger(__name__)

_REPORT_EVERY_S = 0.05
# New audio takes over once this much from the playhead on is as asked; until then the last render is heard.
_NEAR_S = 2.0


@dataclass(slots=True)
class _Running:
    command: Render
    job: RenderJob
    reported_s: float = 0.0


class Rendering:
    """One render at a time, on one thread; `shelf` holds what it makes and what was made before.

    last_request_id   of the render begun last, whether it is still under way or not
    """

    def __init__(
        self, cache: CellCache, shelf: ClipShelf, preset_loader: PresetLoader, send: Callable[[Reply], None]
    ) -> None:
        self._cache, self._shelf, self._preset_loader, self._send = cache, shelf, preset_loader, send
        self._running: _Running | None = None
        self._unreported: set[int] = set()  # cells of the working clip written since it was last reported
        self.last_request_id = 0

    @property
    def is_under_way(self) -> bool:
        return self._running is not None

    def is_of(self, request_id: int) -> bool:
        """Whether this request is the one under way."""
        return self._running is not None and self._running.command.request_id == request_id

    def start(self, command: Render, need_engine: Callable[[], EngineLike]) -> None:
        """Begin; what keeps it from beginning is told, not raised. The render before has been called off."""
        self.last_request_id = command.request_id
        passage = command.passage
        try:
            engine = need_engine()
            presets = presets_of(passage, self._preset_loader)
            request = RenderRequest(passage, presets, command.quality, command.playhead_s)
            before = self._shelf.working
            clip = self._shelf.begin(n_samples_of(passage.duration_s), len(passage.voices))
            if before is not None and before.n_samples != clip.n_samples:
                self._unreported.clear()  # the new clip is reported as a whole
            self._running = _Running(command, RenderJob(engine, self._cache, request, clip))
        except Exception as fault:
            self._send(render_failed(command.request_id, fault))
            return
        self._send(events.RenderStarted(command.request_id))

    def step(self, should_stop: ShouldStop) -> None:
        """Do the next piece, or nothing."""
        running = self._running
        if running is None:
            return
        job = running.job
        try:
            if not job.is_planned:
                job.plan(should_stop)
                if not running.command.has_audio and self._shelf.heard is None:
                    self._publish(running)
            if job.todo:
                self._unreported.add(job.step(should_stop))
            is_new = self._is_near_done(running) and self._publish(running)
            self._report(running, even_if_early=is_new or job.is_done)
            if job.is_done:
                self._running = None
                self._finish(running.command.request_id, job.report())
        except Cancelled:
            return
        except Disconnected:
            raise
        except Exception as fault:
            job.call_off()
            self._running = None
            self._send(render_failed(running.command.request_id, fault))

    def call_off(self, *, keep_audio: bool) -> None:
        """End it before its time; with `keep_audio` what it has made is heard."""
        running = self._running
        if running is None:
            return
        running.job.call_off()
        if keep_audio:
            self._publish(running)
        self._report(running, even_if_early=True)
        self._running = None
        self._send(events.RenderCancelled(running.command.request_id))

    def leave_threads(self) -> None:
        """Leave what threads have begun; `step` may be called again."""
        if self._running is not None:
            self._running.job.call_off()

    def _finish(self, request_id: int, report: RenderReport) -> None:
        _log.info(
            "render %d finished: %d of %d cells made, %.2f s",
            request_id,
            report.cells_decoded,
            report.cells_total,
            report.total_s,
        )
        self._send(events.RenderFinished(request_id, report))

    def _is_near_done(self, running: _Running) -> bool:
        first = cell_at(running.command.playhead_s)
        near = range(first, first + round(_NEAR_S / CELL_S) + 1)
        # The most urgent cells stand last, so those near the playhead are the first to leave `todo`.
        return not any(cell in near for cell in running.job.todo[-len(near) :])

    def _publish(self, running: _Running) -> bool:
        """Let the render be heard from now on -> whether it was not yet."""
        before = self._shelf.heard
        clip = self._shelf.publish()
        if clip is None:
            return False
        is_afresh = before is None or before.n_samples != clip.n_samples
        self._send(ClipReady(running.command.request_id, clip.mix_path, clip.n_samples, is_afresh))
        return True

    def _report(self, running: _Running, *, even_if_early: bool) -> None:
        now_s = time.monotonic()
        if not even_if_early and now_s - running.reported_s < _REPORT_EVERY_S:
            return
        running.reported_s = now_s
        progress = running.job.progress()
        request_id = running.command.request_id
        self._send(
            events.RenderProgress(
                request_id, progress.done_cells, progress.total_cells, progress.eta_s, progress.realtime_factor
            )
        )
        if running.job.clip is self._shelf.heard:
            for first, end in _runs(sorted(self._unreported)):
                end_s = min(end * CELL_S, running.command.passage.duration_s)
                self._send(CellsWritten(request_id, first * CELL_S, end_s))
            self._unreported.clear()


def _runs(cells: list[int]) -> Iterator[tuple[int, int]]:
    """Ascending cells as [first, end) stretches without gaps."""
    start = 0
    for index in range(1, len(cells) + 1):
        if index == len(cells) or cells[index] != cells[index - 1] + 1:
            yield cells[start], cells[index - 1] + 1
            start = index
