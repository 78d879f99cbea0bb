"""An export in the sampler process: a render of its own and then the files, in pieces."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

from app.render.cache import CellCache
from app.render.clip import Clip
from app.render.events import Exported, ExportProgress
from app.render.export import ClipExport
from app.render.files import check_target
from app.render.grid import n_samples_of
from app.render.loading import PresetLoader, presets_of
from app.render.messages import Export
from app.render.renderer import RenderJob, RenderRequest
from app.render.voice import EngineLike, ShouldStop

_REPORT_EVERY_S = 0.05
# Writing costs a few hundredths of rendering; the bar should not stand still at the end.
_RENDER_SHARE = 0.95


class ExportTask:
    """Steps until `is_done`; `discard` leaves nothing behind. Only the finished file appears under its name."""

    def __init__(self, command: Export, folder: Path) -> None:
        self.command = command
        self.is_done = False
        self._folder = folder
        self._clip: Clip | None = None
        self._job: RenderJob | None = None
        self._files: ClipExport | None = None
        self._steps: Iterator[float] | None = None
        self._reported_s = 0.0

    def step(
        self, engine: EngineLike, cache: CellCache, presets: PresetLoader, should_stop: ShouldStop
    ) -> list[ExportProgress | Exported]:
        """Do the next piece -> what to report. Raises UserError, and Cancelled after which it can go on."""
        job = self._job or self._begin(engine, cache, presets)
        if not job.is_planned:
            job.plan(should_stop)
        if job.todo:
            job.step(should_stop)
            progress = job.progress()
            return self._report(_RENDER_SHARE * progress.done_cells / max(progress.total_cells, 1), progress.eta_s)
        if self._files is None or self._steps is None:
            command = self.command
            self._files = ClipExport(job.clip, command.passage.voices, command.path, stems=command.stems)
            self._steps = self._files.steps()
        fraction = next(self._steps, None)
        if fraction is not None:
            return self._report(_RENDER_SHARE + (1.0 - _RENDER_SHARE) * fraction, 0.0)
        self.discard()
        self.is_done = True
        attenuation_db = self._files.attenuation_db
        note = f"Turned down by {attenuation_db:.1f} dB so as not to clip." if attenuation_db > 0 else ""
        return [Exported(self.command.path, note)]

    def discard(self) -> None:
        """Delete the temporary audio, and leave what threads have begun of it."""
        self._steps = None
        self.call_off()
        if self._clip is not None:
            self._clip.delete()
            self._clip = None

    def call_off(self) -> None:
        """Leave what threads have begun; `step` may be called again."""
        if self._job is not None:
            self._job.call_off()

    def _begin(self, engine: EngineLike, cache: CellCache, presets: PresetLoader) -> RenderJob:
        command = self.command
        check_target(command.path)
        request = RenderRequest(command.passage, presets_of(command.passage, presets), command.quality)
        n_stems = len(command.passage.voices) if command.stems else 0
        self._clip = Clip(self._folder, n_samples_of(command.passage.duration_s), n_stems)
        self._job = RenderJob(engine, cache, request, self._clip)
        return self._job

    def _report(self, fraction: float, eta_s: float) -> list[ExportProgress | Exported]:
        now_s = time.monotonic()
        if now_s - self._reported_s < _REPORT_EVERY_S:
            return []
        self._reported_s = now_s
        return [ExportProgress(self.command.path, fraction, eta_s)]
