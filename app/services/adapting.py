"""What the adapting wizard talks to: looking recordings over, recording takes, training, what was left unfinished.

Every method is called on the window's main thread and returns at once; the work is done by processes, whose news
`poll` hands out. Torch is in none of this.
"""

from __future__ import annotations

import atexit
import importlib.util
import os
import time
from collections.abc import Sequence
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import Final, Protocol

import numpy as np
import soundfile

from app.adapting.link import Task
from app.adapting.messages import (
    ENVELOPE_RATE_HZ,
    LANES_SHOWN,
    Doing,
    Failed,
    Finished,
    FoundRecording,
    Gathered,
    Heard,
    InputsFound,
    Level,
    Looked,
    News,
    Problem,
    Recorded,
    Segment,
    Step,
    Stopped,
)
from app.adapting.processes import run_look, run_recorder, run_training
from app.adapting.request import (
    DEFAULT_MINUTES,
    INJURING_TECHNIQUES,
    LICENCES,
    PREVIEW_EVERY_S,
    REGIONS,
    AdaptRequest,
)
from app.adapting.runs import Unfinished, discard, new_run, recordings_folder, unfinished
from app.store.adapters import find_adapter
from app.store.atomic import read_bytes
from app.store.packs.keys import read_author_key
from app.store.packs.manifest import Manifest
from app.store.packs.writer import PackContents, build_pack, save_pack
from app.store.presets import load_preset
from synth.errors import UserError
from synth.spec import Float32Array

__all__ = [
    "DEFAULT_MINUTES",
    "ENVELOPE_RATE_HZ",
    "INJURING_TECHNIQUES",
    "LANES_SHOWN",
    "LEAST_S",
    "LEAST_SEGMENTS",
    "LICENCES",
    "REGIONS",
    "AdaptRequest",
    "AdaptingDesk",
    "AdaptingLike",
    "Doing",
    "Failed",
    "Finished",
    "FoundRecording",
    "Gathered",
    "Heard",
    "InputsFound",
    "Level",
    "Looked",
    "News",
    "Problem",
    "Recorded",
    "Segment",
    "Step",
    "Stopped",
    "Unfinished",
    "Work",
]

LEAST_S: Final = 10.0  # of material, and in so many stretches: less is refused
LEAST_SEGMENTS: Final = 4
_STOP_PATIENCE_S: Final = 3.0


class Work(StrEnum):
    """What news are about."""

    LOOKING = "looking"
    TRAINING = "training"
    RECORDING = "recording"
    MICROPHONES = "microphones"


class AdaptingLike(Protocol):
    """See the module."""

    def poll(self) -> list[tuple[Work, News]]:
        """What has happened since the last call."""
        ...

    def look(self, paths: Sequence[Path]) -> None:
        """Look these over, and nothing else any more; FoundRecording for each, then Looked or Failed."""
        ...

    def train(self, request: AdaptRequest) -> None:
        """Begin; Doing, Gathered, Step, Heard, then Stopped, Finished or Failed. Raises UserError."""
        ...

    def resume(self, begun: Unfinished) -> None:
        """Go on with what was left. News as of `train`."""
        ...

    def resume_last(self) -> None:
        """Go on with what was trained last and has stopped or failed."""
        ...

    def stop(self) -> None:
        """End the training after its step, with a checkpoint."""
        ...

    @property
    def is_training(self) -> bool: ...

    def unfinished(self) -> list[Unfinished]:
        """What can be taken up again, newest first."""
        ...

    def discard(self, begun: Unfinished) -> None:
        """Delete it. Raises UserError."""
        ...

    def find_microphones(self) -> None:
        """InputsFound or Failed follows."""
        ...

    def record(self, microphone: str | None) -> Path:
        """Record a take; Level again and again, then Recorded or Failed. -> its file"""
        ...

    def stop_recording(self) -> None: ...

    def methods(self) -> list[tuple[str, str]]:
        """(method, why it cannot be used here or "")."""
        ...

    def sound(self, path: Path) -> Float32Array:
        """A preview's samples, mono [n] at 48 kHz. Raises UserError."""
        ...

    def pack(self, preset_id: str, path: Path, *, name: str, version: str, description: str) -> bool:
        """Write a pack of one preset and its adapter. -> whether it is signed. Raises UserError."""
        ...

    def close(self) -> None:
        """End what runs; a training with a checkpoint, where it takes no longer than a few seconds."""
        ...


class AdaptingDesk:
    """Fulfils `AdaptingLike`.

    folder       of adaptations; None: this user's
    recordings   of takes that are recorded; None: this user's
    """

    def __init__(self, folder: Path | None = None, recordings: Path | None = None) -> None:
        self._folder = folder
        self._recordings = recordings_folder() if recordings is None else recordings
        self._tasks: dict[Work, Task] = {}
        self._last: tuple[AdaptRequest, Path] | None = None
        self._is_training = False
        atexit.register(self.close)  # before the interpreter waits for the training to end by itself

    def poll(self) -> list[tuple[Work, News]]:
        news = [(work, told) for work, task in self._tasks.items() for told in task.take()]
        if any(work is Work.TRAINING and isinstance(told, Finished | Failed | Stopped) for work, told in news):
            self._is_training = False  # what its process still does is leaving
        self._tasks = {work: task for work, task in self._tasks.items() if not task.is_over}
        return news

    def look(self, paths: Sequence[Path]) -> None:
        self._start(Work.LOOKING, Task(run_look, tuple(paths), name="looking"))

    def train(self, request: AdaptRequest) -> None:
        self._train(request, new_run(self._folder))

    def resume(self, begun: Unfinished) -> None:
        # What the terms were agreed for stays as it was; how many cores there are is this machine's business.
        self._train(begun.request, begun.run)

    def resume_last(self) -> None:
        if self._last is not None:
            self._train(*self._last)

    def stop(self) -> None:
        if Work.TRAINING in self._tasks:
            self._tasks[Work.TRAINING].stop()

    @property
    def is_training(self) -> bool:
        return self._is_training

    def unfinished(self) -> list[Unfinished]:
        own = self._last[1] if self._last is not None and self.is_training else None
        return [begun for begun in unfinished(self._folder) if begun.run != own]

    def discard(self, begun: Unfinished) -> None:
        discard(begun.run)

    def find_microphones(self) -> None:
        self._start(Work.MICROPHONES, Task(run_recorder, None, None, name="microphones"))

    def record(self, microphone: str | None) -> Path:
        stem = time.strftime("take-%Y-%m-%d-%H%M%S")
        path = next(
            path for n in range(1_000)
            if not (path := self._recordings / (f"{stem}.wav" if n == 0 else f"{stem}-{n}.wav")).exists()
        )  # fmt: skip
        self._start(Work.RECORDING, Task(run_recorder, path, microphone, name="recording"))
        return path

    def stop_recording(self) -> None:
        if Work.RECORDING in self._tasks:
            self._tasks[Work.RECORDING].stop()

    def methods(self) -> list[tuple[str, str]]:
        missing = "" if importlib.util.find_spec("peft") else "peft is not installed (the training extra)"
        return [("lora", missing), ("sara", "")]

    def sound(self, path: Path) -> Float32Array:
        try:
            audio, _ = soundfile.read(path, dtype="float32", always_2d=True)
        except (soundfile.LibsndfileError, OSError) as fault:
            raise UserError(f"{path.name} cannot be read: {fault}.", remedy="It will be sung again.") from fault
        return np.ascontiguousarray(audio.mean(axis=1), dtype=np.float32)

    def pack(self, preset_id: str, path: Path, *, name: str, version: str, description: str) -> bool:
        preset = load_preset(preset_id)
        contents = PackContents((preset,), tuple(read_bytes(find_adapter(adapter.id)) for adapter in preset.adapters))
        key = read_author_key()
        manifest = Manifest(
            preset.id.replace("_", "-"), name=name, version=version, author=preset.author or "unknown",
            licence=preset.licence, consent=preset.consent, description=description,
        )  # fmt: skip
        save_pack(path, build_pack(manifest, contents, key))
        return key is not None

    def close(self) -> None:
        atexit.unregister(self.close)
        tasks, self._tasks = self._tasks, {}
        self._is_training = False
        for work, task in tasks.items():
            if work in (Work.TRAINING, Work.RECORDING):
                task.close(_STOP_PATIENCE_S)
            else:
                task.kill()

    def _train(self, request: AdaptRequest, run: Path) -> None:
        if self.is_training:
            raise UserError("An adaptation is already training.", remedy="Stop it first; it can be resumed.")
        cores = max((os.cpu_count() or 2) - 1, 1)  # one is left to play on
        request = replace(
            request, threads=cores, workers=min(cores, 4), install=True,
            preview_every_s=request.preview_every_s or PREVIEW_EVERY_S,
        )  # fmt: skip
        self._last = (request, run)
        self._is_training = True
        self._start(Work.TRAINING, Task(run_training, request, run, name="adapting"))

    def _start(self, work: Work, task: Task) -> None:
        before = self._tasks.pop(work, None)
        if before is not None:
            before.kill()
        self._tasks[work] = task
