"""An adapting desk without processes: records what it is asked and says what a test puts in."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from app.services.adapting import AdaptRequest, News, Unfinished, Work
from synth.errors import UserError
from synth.spec import SAMPLE_RATE_HZ, Float32Array


class FakeDesk:
    """`say` what poll() shall hand out; look at `looked`, `requests` ... afterwards."""

    def __init__(self) -> None:
        self.queue: list[tuple[Work, News]] = []
        self.looked: list[list[Path]] = []
        self.requests: list[AdaptRequest] = []
        self.resumed: list[Unfinished | None] = []
        self.left: list[Unfinished] = []
        self.discarded: list[Unfinished] = []
        self.packed: list[tuple[str, Path, str]] = []
        self.recorded: list[str | None] = []
        self.refusal: UserError | None = None
        self.missing = ""
        self.n_stops = self.n_takes_stopped = 0
        self.is_training = False
        self.is_closed = False

    def say(self, work: Work, *news: News) -> None:
        self.queue += [(work, one) for one in news]

    def poll(self) -> list[tuple[Work, News]]:
        said, self.queue = self.queue, []
        return said

    def look(self, paths: Sequence[Path]) -> None:
        self.looked.append(list(paths))

    def train(self, request: AdaptRequest) -> None:
        if self.refusal is not None:
            raise self.refusal
        self.requests.append(request)
        self.is_training = True

    def resume(self, begun: Unfinished) -> None:
        self.resumed.append(begun)
        self.is_training = True

    def resume_last(self) -> None:
        self.resumed.append(None)
        self.is_training = True

    def stop(self) -> None:
        self.n_stops += 1

    def unfinished(self) -> list[Unfinished]:
        return self.left

    def discard(self, begun: Unfinished) -> None:
        self.discarded.append(begun)
        self.left.remove(begun)

    def find_microphones(self) -> None: ...

    def record(self, microphone: str | None) -> Path:
        self.recorded.append(microphone)
        return Path("take.wav")

    def stop_recording(self) -> None:
        self.n_takes_stopped += 1

    def methods(self) -> list[tuple[str, str]]:
        return [("lora", self.missing), ("sara", "")]

    def sound(self, path: Path) -> Float32Array:
        if "broken" in path.name:
            raise UserError(f"{path.name} cannot be read.", remedy="It will be sung again.")
        t_s = np.arange(SAMPLE_RATE_HZ) / SAMPLE_RATE_HZ
        return (0.2 * np.sin(2 * np.pi * (200.0 + 80.0 * len(path.name)) * t_s)).astype(np.float32)

    def pack(self, preset_id: str, path: Path, *, name: str, version: str, description: str) -> bool:
        if self.refusal is not None:
            raise self.refusal
        self.packed.append((preset_id, path, version))
        return False

    def close(self) -> None:
        self.is_closed = True
