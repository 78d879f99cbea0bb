"""The sampler process as the instrument sees it: what it was asked, what it owes, and its new life when it dies."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Final

from app.render.grid import n_samples_of
from app.render.messages import Command, Export, Extract, Render, Reply
from app.render.renderer import QUALITIES
from app.render.worker import WorkerSettings
from app.services.events import (
    EngineFailed,
    Event,
    Exported,
    ExportFailed,
    Extracted,
    ExtractFailed,
    Notice,
    RenderCancelled,
    RenderFailed,
    RenderFinished,
)
from app.services.link import SamplerDied, SamplerLink
from app.services.requests import RenderRequests
from app.state.passage import Passage

_log = logging.getLogger(__name__)

_MAX_RESTARTS: Final = 3
_RESTART_WINDOW_S: Final = 60.0
_GONE: Final = ("The sampler is not running.", "Save your work and start Stridor again.")


class Sampler:
    """Main thread only; never waits. Of what the process does not say itself, `tell` is told."""

    def __init__(self, settings: WorkerSettings, clock: Callable[[], float], tell: Callable[[Event], None]) -> None:
        self._link = SamplerLink(settings)
        self._clock, self._tell = clock, tell
        self._requests = RenderRequests()
        self._exports: deque[Path] = deque()  # asked for and not answered
        self._extracts: list[Path] = []
        self._restarts_s: deque[float] = deque()
        self._gave_up = False

    # ---- life

    def start(self) -> None:
        self._link.start()

    def close(self) -> None:
        """End the process. Idempotent."""
        self._link.close()

    @property
    def pid(self) -> int | None:
        """Of the process, None until it runs."""
        return self._link.pid

    @property
    def is_idle(self) -> bool:
        """Whether it is there and nobody waits for it."""
        return not (self._gave_up or self._requests.is_busy or self._exports or self._extracts)

    # ---- what is asked

    def post(self, command: Command) -> None:
        """Say something that nobody waits for."""
        self._link.post(command)

    def render(self, passage: Passage, *, quality: str, playhead_s: float) -> int:
        """Wish for a render -> its id; it is sent by `send_due` when it has stood for a moment."""
        if quality not in QUALITIES:
            raise ValueError(f"no quality {quality!r}")
        request_id, replaced = self._requests.ask(passage, quality=quality, playhead_s=playhead_s, now_s=self._clock())
        if replaced is not None:
            self._tell(RenderCancelled(replaced))
        return request_id

    def send_due(self, *, has_audio: bool) -> bool:
        """Ask for the render that is due -> whether one was."""
        due = self._requests.due(self._clock(), has_audio=has_audio)
        if due is not None:
            self._send_render(due)
        return due is not None

    def cancel(self) -> None:
        """Call off the newest wish."""
        waiting_id, command = self._requests.call_off()
        if waiting_id is not None:
            self._tell(RenderCancelled(waiting_id))
        if command is not None:
            self._link.post(command)

    def export(self, passage: Passage, path: Path, quality: str, *, stems: bool) -> None:
        if self._gave_up:
            self._tell(ExportFailed(*_GONE))
            return
        self._exports.append(path)
        self._link.post(Export(passage, path, quality, stems))

    def extract(self, audio_path: Path) -> None:
        if self._gave_up:
            self._tell(ExtractFailed(*_GONE))
            return
        self._extracts.append(audio_path)
        self._link.post(Extract(audio_path))

    # ---- what it says

    def take(self) -> list[Reply | SamplerDied]:
        """Everything it has said since the last call; `note_answer` and `revive` are for whoever hears it."""
        return self._link.take()

    def note_answer(self, reply: Reply) -> None:
        """Something asked for may have been answered."""
        match reply:
            case RenderFinished() | RenderCancelled() | RenderFailed():
                self._requests.ended(reply.request_id)
            case Exported() | ExportFailed():
                if self._exports:  # they are carried out, and answered, in the order of asking
                    self._exports.popleft()
            case Extracted() | ExtractFailed():
                if reply.path in self._extracts:
                    self._extracts.remove(reply.path)
            case _:
                pass

    def revive(self, died: SamplerDied, n_samples: int) -> None:
        """Start it again with the render it was at, unless it keeps dying. n_samples: of the audio there is."""
        _log.warning("the sampler process ended with exit code %s", died.exit_code)
        self._fail_what_died()
        now_s = self._clock()
        while self._restarts_s and now_s - self._restarts_s[0] > _RESTART_WINDOW_S:
            self._restarts_s.popleft()
        unfinished = self._requests.with_sampler
        if len(self._restarts_s) >= _MAX_RESTARTS:
            self._gave_up = True
            self._tell(EngineFailed("The sampler keeps stopping and was not started again.", _GONE[1]))
            if unfinished is not None:
                self._send_render(unfinished)
            return
        self._restarts_s.append(now_s)
        self._tell(Notice("The sampler stopped unexpectedly and has been started again.", "Nothing is lost."))
        self._link.start()
        if unfinished is not None:
            same_length = n_samples == n_samples_of(unfinished.passage.duration_s)
            self._link.post(replace(unfinished, has_audio=same_length))

    def _send_render(self, command: Render) -> None:
        if self._gave_up:
            self._requests.ended(command.request_id)
            self._tell(RenderFailed(command.request_id, *_GONE, details=""))
            return
        self._link.post(command)

    def _fail_what_died(self) -> None:
        while self._exports:
            path = self._exports.popleft()
            self._tell(ExportFailed(f"{path} was not written: the sampler stopped.", "Export again."))
        while self._extracts:
            path = self._extracts.pop()
            self._tell(ExtractFailed(f"{path} was not read: the sampler stopped.", "Open it again."))
