"""The sampler's work, one piece at a time, the most urgent first.

One thread owns the engine: it takes commands, lives on `Worker.run`, and between any two sampler steps looks whether
something more urgent has come in. Only reading a recording runs beside it, in a thread that never touches the engine.

Urgency: the newest render, exports, measuring, previews.
"""

from __future__ import annotations

import logging
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

from app.render import events
from app.render.cache import DISK_BUDGET_BYTES, MEMORY_BUDGET_BYTES, CellCache
from app.render.clips import ClipShelf
from app.render.exporting import ExportTask
from app.render.grid import CELL_S, cell_at, n_samples_of
from app.render.inbox import Inbox
from app.render.loading import EngineLoader, PresetLoader, load_engine, presets_of
from app.render.measuring import StemMeasurer
from app.render.messages import (
    CellsWritten,
    ClipReady,
    MakePreview,
    PreviewMade,
    Render,
    Reply,
)
from app.render.previews import keep_preview, read_preview, sing_preview
from app.render.renderer import RenderJob, RenderRequest
from app.render.report import RenderReport
from app.render.voice import EngineLike
from app.state.passage import Passage
from app.store.presets import load_preset
from synth.errors import Cancelled, UserError

_log = logging.getLogger(__name__)

_REPORT_EVERY_S = 0.05
# New audio takes over once this much from the playhead on is as asked; until then the last render is heard.
_NEAR_S = 2.0


class Disconnected(Exception):
    """The other end of the pipe has gone: nobody wants this process any more."""


@dataclass(frozen=True, slots=True)
class WorkerSettings:
    """Everything the sampler process is told when it starts. The loaders are named functions of importable modules."""

    folder: Path  # for clips; the parent deletes it
    cache_folder: Path | None
    device: str = "auto"
    n_threads: int | None = None
    memory_bytes: int = MEMORY_BUDGET_BYTES
    disk_bytes: int = DISK_BUDGET_BYTES
    engine_loader: EngineLoader = load_engine
    preset_loader: PresetLoader = load_preset
    extractor: Callable[[Path], Passage] | None = None


@dataclass(slots=True)
class _Running:
    """The render under way."""

    command: Render
    job: RenderJob
    reported_s: float = 0.0


class Worker:
    """See the module. `run` returns when told to quit; raises Disconnected when there is nobody left to tell it."""

    def __init__(self, connection: Connection, settings: WorkerSettings) -> None:
        self._connection = connection
        self._settings = settings
        self._send_lock = threading.Lock()  # extraction answers from its own thread
        self._inbox = Inbox()
        self._shelf = ClipShelf(settings.folder)
        self._measurer = StemMeasurer()
        self._cache = CellCache(
            settings.cache_folder,
            memory_bytes=settings.memory_bytes,
            disk_bytes=settings.disk_bytes,
            on_trouble=lambda message, remedy: self._send(events.Notice(message, remedy)),
        )
        self._engine: EngineLike | None = None
        self._engine_fault = UserError("The voice model is not loaded.")
        self._running: _Running | None = None
        self._unreported: set[int] = set()  # cells of the working clip written since it was last reported
        self._export: ExportTask | None = None
        self._last_request_id = 0
        self._can_measure = True

    def run(self) -> None:
        self._load_engine()
        try:
            while not self._inbox.quit:
                self._receive(wait=not self._has_work())
                self._accept()
                self._work()
        finally:
            self._leave_threads()

    # ---- the pipe

    def _send(self, reply: Reply) -> None:
        with self._send_lock:
            try:
                self._connection.send(reply)
            except OSError as fault:
                raise Disconnected from fault

    def _receive(self, *, wait: bool) -> None:
        """Take in what has arrived; with `wait`, at least one command."""
        try:
            while self._connection.poll(None if wait else 0):
                self._inbox.put(self._connection.recv())
                wait = False
        except (EOFError, OSError) as fault:
            raise Disconnected from fault

    def _interrupted(self) -> bool:
        """Asked between sampler steps: whether to leave the cell in hand for something more urgent."""
        self._receive(wait=False)
        return self._inbox.quit or bool(self._inbox.renders)

    # ---- taking up commands

    def _load_engine(self) -> None:
        started_s = time.perf_counter()
        try:
            engine = self._settings.engine_loader(self._settings.device, self._settings.n_threads)
        except UserError as fault:
            self._engine_fault = fault
            self._send(events.EngineFailed(fault.message, fault.remedy))
            return
        engine.on_trouble = lambda message, remedy: self._send(events.Notice(message, remedy))
        self._engine = engine
        load_s = time.perf_counter() - started_s
        self._send(events.EngineReady(engine.device_name, engine.weights_hash, load_s))

    def _has_work(self) -> bool:
        inbox = self._inbox
        return bool(self._running or self._export or inbox.exports or inbox.previews or self._has_unmeasured())

    def _has_unmeasured(self) -> bool:
        return self._can_measure and self._shelf.heard is not None and self._measurer.has_work(self._shelf.heard)

    def _accept(self) -> None:
        newest: Render | None = None
        while self._inbox.renders:
            command = self._inbox.renders.popleft()
            if isinstance(command, Render):
                if newest is not None:
                    self._send(events.RenderCancelled(newest.request_id))
                newest = command
            elif newest is not None and newest.request_id == command.request_id:
                self._send(events.RenderCancelled(command.request_id))
                newest = None
            elif self._running is not None and self._running.command.request_id == command.request_id:
                self._call_off(keep_audio=True)
        if newest is not None:
            self._call_off(keep_audio=False)
            self._start(newest)
        while self._inbox.extracts:
            path = self._inbox.extracts.popleft().path
            threading.Thread(target=self._extract, args=(path,), name="extract", daemon=True).start()
        if self._export is None and self._inbox.exports:
            self._export = ExportTask(self._inbox.exports.popleft(), self._settings.folder)

    def _start(self, command: Render) -> None:
        self._leave_threads()
        self._last_request_id = command.request_id
        passage = command.passage
        try:
            engine = self._need_engine()
            presets = presets_of(passage, self._settings.preset_loader)
            request = RenderRequest(passage, presets, command.quality, command.playhead_s)
            before = self._shelf.working
            clip = self._shelf.begin(n_samples_of(passage.duration_s), len(passage.voices))
            if before is not None and before.n_samples != clip.n_samples:
                self._unreported.clear()  # the new clip is reported as a whole
            self._running = _Running(command, RenderJob(engine, self._cache, request, clip))
        except Exception as fault:
            self._send(_render_failed(command.request_id, fault))
            return
        self._send(events.RenderStarted(command.request_id))

    def _need_engine(self) -> EngineLike:
        if self._engine is None:
            raise self._engine_fault
        return self._engine

    def _leave_threads(self) -> None:
        """Sampling ahead is for a passage; it must not keep cores from anything more urgent, nor the process alive."""
        if self._running is not None:
            self._running.job.call_off()
        if self._export is not None:
            self._export.call_off()

    def _call_off(self, *, keep_audio: bool) -> None:
        if self._running is None:
            return
        self._running.job.call_off()
        if keep_audio:
            self._publish(self._running)
        self._report(self._running, even_if_early=True)
        request_id, self._running = self._running.command.request_id, None
        self._send(events.RenderCancelled(request_id))

    # ---- working

    def _work(self) -> None:
        """Do the most urgent piece, or nothing."""
        if self._inbox.quit:
            return
        if self._running is not None:
            self._render_piece(self._running)
        elif self._export is not None:
            self._export_piece(self._export)
        elif self._has_unmeasured():
            self._measure_piece()
        elif self._inbox.previews:
            self._make_preview(self._inbox.previews[0])

    def _render_piece(self, running: _Running) -> None:
        job = running.job
        try:
            if not job.is_planned:
                job.plan(self._interrupted)
                if not running.command.has_audio and self._shelf.heard is None:
                    self._publish(running)
            if job.todo:
                self._unreported.add(job.step(self._interrupted))
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
            self._send(_render_failed(running.command.request_id, fault))

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

    def _export_piece(self, task: ExportTask) -> None:
        try:
            done = task.step(self._need_engine(), self._cache, self._settings.preset_loader, self._interrupted)
            for event in done:
                self._send(event)
            if task.is_done:
                self._export = None
        except Cancelled:
            return
        except Disconnected:
            raise
        except Exception as fault:
            task.discard()
            self._export = None
            if not isinstance(fault, UserError):
                _log.exception("export to %s failed", task.command.path)
            message, remedy = _message_of(fault, "The export failed")
            self._send(events.ExportFailed(message, remedy))

    def _make_preview(self, command: MakePreview) -> None:
        """What has been sampled before it was interrupted comes from the cache the next time."""
        fault = ""
        try:
            if command.recording is not None:
                audio = read_preview(command.recording)
            else:
                audio = sing_preview(self._need_engine(), self._cache, command.preset, self._interrupted_preview)
            keep_preview(command.path, audio)
        except Cancelled:
            return
        except Disconnected:
            raise
        except UserError as trouble:
            fault = str(trouble)
        except Exception as trouble:
            _log.exception("the preview of %s failed", command.preset.id)
            fault = repr(trouble)
        self._inbox.previews.popleft()
        self._send(PreviewMade(command.path, fault))

    def _interrupted_preview(self) -> bool:
        return self._interrupted() or bool(self._inbox.exports)

    def _measure_piece(self) -> None:
        clip = self._shelf.heard
        if clip is None:
            return
        try:
            span = self._measurer.measure_next(clip, self._last_request_id)
        except Exception as fault:
            _log.exception("measuring the render failed")
            self._measurer.skip_next(clip)
            self._can_measure = False
            self._send(events.Notice(f"The rendered lanes cannot be measured ({fault}).", "The sound is not affected."))
            return
        if span is not None:
            self._send(span)

    def _extract(self, path: Path) -> None:
        """Runs in a thread of its own."""
        try:
            try:
                if self._settings.extractor is None:
                    raise UserError("Recordings cannot be taken in here.")
                reply: Reply = events.Extracted(self._settings.extractor(path), path)
            except Exception as fault:
                if not isinstance(fault, UserError):
                    _log.exception("extracting %s failed", path)
                message, remedy = _message_of(fault, f"{path.name} cannot be turned into a passage")
                reply = events.ExtractFailed(message, remedy)
            self._send(reply)
        except Disconnected:
            return


def _runs(cells: list[int]) -> Iterator[tuple[int, int]]:
    """Ascending cells as [first, end) stretches without gaps."""
    start = 0
    for index in range(1, len(cells) + 1):
        if index == len(cells) or cells[index] != cells[index - 1] + 1:
            yield cells[start], cells[index - 1] + 1
            start = index


def _message_of(fault: Exception, what: str) -> tuple[str, str]:
    if isinstance(fault, UserError):
        return fault.message, fault.remedy
    return f"{what}: {fault or type(fault).__name__}.", "The log has the details."


def _render_failed(request_id: int, fault: Exception) -> events.RenderFailed:
    details = "" if isinstance(fault, UserError) else "".join(traceback.format_exception(fault))
    if details:
        _log.error("render %d failed: %s", request_id, details)
    message, remedy = _message_of(fault, "The render failed")
    return events.RenderFailed(request_id, message, remedy, details)
