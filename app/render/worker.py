"""The sampler's work, one piece at a time, the most urgent first.

One thread owns the engine: it takes commands, lives on `Worker.run`, and between any two sampler steps looks whether
something more urgent has come in. Only reading a recording runs beside it, in a thread that never touches the engine.

Urgency: the newest render, exports, measuring, previews.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

from app.render import events
from app.render.cache import DISK_BUDGET_BYTES, MEMORY_BUDGET_BYTES, CellCache
from app.render.clips import ClipShelf
from app.render.exporting import ExportTask
from app.render.faults import message_of
from app.render.loading import EngineLoader, PresetLoader, load_engine
from app.render.measuring import StemMeasurer
from app.render.messages import MakePreview, PreviewMade, Render, Reply
from app.render.pipe import CommandPipe, Disconnected
from app.render.previews import keep_preview, read_preview, sing_preview
from app.render.rendering import Rendering
from app.render.voice import EngineLike
from app.state.passage import Passage
from app.store.presets import load_preset
from synth.errors import Cancelled, UserError

_log = logging.getLogger(__name__)


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


class Worker:
    """See the module. `run` returns when told to quit; raises Disconnected when there is nobody left to tell it."""

    def __init__(self, connection: Connection, settings: WorkerSettings) -> None:
        self._settings = settings
        self._pipe = CommandPipe(connection)
        self._inbox = self._pipe.inbox
        self._shelf = ClipShelf(settings.folder)
        self._measurer = StemMeasurer()
        self._cache = CellCache(
            settings.cache_folder,
            memory_bytes=settings.memory_bytes,
            disk_bytes=settings.disk_bytes,
            on_trouble=lambda message, remedy: self._pipe.send(events.Notice(message, remedy)),
        )
        self._rendering = Rendering(self._cache, self._shelf, settings.preset_loader, self._pipe.send)
        self._engine: EngineLike | None = None
        self._engine_fault = UserError("The voice model is not loaded.")
        self._export: ExportTask | None = None
        self._can_measure = True

    def run(self) -> None:
        self._load_engine()
        try:
            while not self._inbox.quit:
                self._pipe.receive(wait=not self._has_work())
                self._accept()
                self._work()
        finally:
            self._leave_threads()

    # ---- taking up commands

    def _load_engine(self) -> None:
        started_s = time.perf_counter()
        try:
            engine = self._settings.engine_loader(self._settings.device, self._settings.n_threads)
        except UserError as fault:
            self._engine_fault = fault
            self._pipe.send(events.EngineFailed(fault.message, fault.remedy))
            return
        engine.on_trouble = lambda message, remedy: self._pipe.send(events.Notice(message, remedy))
        self._engine = engine
        load_s = time.perf_counter() - started_s
        self._pipe.send(events.EngineReady(engine.device_name, engine.weights_hash, load_s))

    def _has_work(self) -> bool:
        inbox = self._inbox
        has_render = self._rendering.is_under_way
        return bool(has_render or self._export or inbox.exports or inbox.previews or self._has_unmeasured())

    def _has_unmeasured(self) -> bool:
        return self._can_measure and self._shelf.heard is not None and self._measurer.has_work(self._shelf.heard)

    def _accept(self) -> None:
        newest: Render | None = None
        while self._inbox.renders:
            command = self._inbox.renders.popleft()
            if isinstance(command, Render):
                if newest is not None:
                    self._pipe.send(events.RenderCancelled(newest.request_id))
                newest = command
            elif newest is not None and newest.request_id == command.request_id:
                self._pipe.send(events.RenderCancelled(command.request_id))
                newest = None
            elif self._rendering.is_of(command.request_id):
                self._rendering.call_off(keep_audio=True)
        if newest is not None:
            self._rendering.call_off(keep_audio=False)
            self._leave_threads()
            self._rendering.start(newest, self._need_engine)
        while self._inbox.extracts:
            path = self._inbox.extracts.popleft().path
            threading.Thread(target=self._extract, args=(path,), name="extract", daemon=True).start()
        if self._export is None and self._inbox.exports:
            self._export = ExportTask(self._inbox.exports.popleft(), self._settings.folder)

    def _need_engine(self) -> EngineLike:
        if self._engine is None:
            raise self._engine_fault
        return self._engine

    def _leave_threads(self) -> None:
        """Sampling ahead is for a passage; it must not keep cores from anything more urgent, nor the process alive."""
        self._rendering.leave_threads()
        if self._export is not None:
            self._export.call_off()

    # ---- working

    def _work(self) -> None:
        """Do the most urgent piece, or nothing."""
        if self._inbox.quit:
            return
        if self._rendering.is_under_way:
            self._rendering.step(self._pipe.interrupts)
        elif self._export is not None:
            self._export_piece(self._export)
        elif self._has_unmeasured():
            self._measure_piece()
        elif self._inbox.previews:
            self._make_preview(self._inbox.previews[0])

    def _export_piece(self, task: ExportTask) -> None:
        try:
            done = task.step(self._need_engine(), self._cache, self._settings.preset_loader, self._pipe.interrupts)
            for event in done:
                self._pipe.send(event)
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
            message, remedy = message_of(fault, "The export failed")
            self._pipe.send(events.ExportFailed(message, remedy))

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
        self._pipe.send(PreviewMade(command.path, fault))

    def _interrupted_preview(self) -> bool:
        return self._pipe.interrupts() or bool(self._inbox.exports)

    def _measure_piece(self) -> None:
        clip = self._shelf.heard
        if clip is None:
            return
        try:
            span = self._measurer.measure_next(clip, self._rendering.last_request_id)
        except Exception as fault:
            _log.exception("measuring the render failed")
            self._measurer.skip_next(clip)
            self._can_measure = False
            self._pipe.send(
                events.Notice(f"The rendered lanes cannot be measured ({fault}).", "The sound is not affected.")
            )
            return
        if span is not None:
            self._pipe.send(span)

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
                message, remedy = message_of(fault, f"{path.name} cannot be turned into a passage")
                reply = events.ExtractFailed(message, remedy, path)
            self._pipe.send(reply)
        except Disconnected:
            return
