"""Which previews are made, in which order, and playing them. Never waits; belongs to the window's thread.

One preview at a time is asked of the sampler, and only while nothing else is asked of it: what a pack brings first,
because it is only read, then what must be sung.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from app.render.messages import MakePreview, PreviewMade
from app.render.previews import preview_frames, preview_path, recording_path
from app.state.preset import Preset

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class PreviewWish:
    """A preset that may be chosen soon; recording: how its pack says that it sounds."""

    preset: Preset
    recording: Path | None = None


class PreviewSound(Protocol):
    """What is needed of app.audio.client.SoundClient."""

    def preview(self, path: Path | None, n_frames: int) -> None: ...


class Previews:
    """`folder` is where they are kept. read_weights: tells the weights' hash before the sampler does, on a thread."""

    def __init__(self, folder: Path, sound: PreviewSound, read_weights: Callable[[], str] | None = None) -> None:
        self._folder, self._sound, self._read_weights = folder, sound, read_weights
        self._weights_hash = ""
        self._wishes: tuple[PreviewWish, ...] = ()
        self._unlooked: deque[tuple[PreviewWish, bool]] = deque()  # and whether its recording is meant
        self._asked: Path | None = None
        self._failed: set[Path] = set()

    def start(self) -> None:
        """Begin to look at the weights."""
        if self._read_weights is not None:
            threading.Thread(target=self._look_at_weights, name="preview-weights", daemon=True).start()

    def use_weights(self, weights_hash: str) -> None:
        """The sampler sings with these."""
        if weights_hash != self._weights_hash:
            self._weights_hash = weights_hash
            self._look_again()

    def want(self, wishes: Sequence[PreviewWish]) -> None:
        """Make these ahead, the first first, in place of what was wanted until now."""
        if tuple(wishes) != self._wishes:
            self._wishes = tuple(wishes)
            self._look_again()

    def due(self) -> MakePreview | None:
        """What to ask the sampler for now, while it has nothing else to do. Looks at one wish at a call."""
        if self._asked is not None or not self._weights_hash or not self._unlooked:
            return None
        wish, is_recorded = self._unlooked.popleft()
        recording = wish.recording if is_recorded else None
        path = self._sung_path(wish) if recording is None else recording_path(self._folder, recording)
        if path in self._failed or preview_frames(path):
            return None
        self._asked = path
        return MakePreview(path, wish.preset, recording)

    def hear(self, made: PreviewMade) -> None:
        """The sampler has made one, or could not."""
        self._asked = None
        if made.fault:
            _log.info("no preview: %s", made.fault)
            self._failed.add(made.path)

    def forget(self) -> None:
        """The sampler has died; it is not asked again for what it may have died of."""
        if self._asked is not None:
            self._failed.add(self._asked)
            self._asked = None

    def play(self, wish: PreviewWish) -> bool:
        """Sound the preset's preview at once, in place of the one that sounds -> whether there is one."""
        for path in self._paths(wish):
            n_frames = preview_frames(path)
            if n_frames:
                self._sound.preview(path, n_frames)
                return True
        return False

    def stop(self) -> None:
        """End what sounds."""
        self._sound.preview(None, 0)

    def _sung_path(self, wish: PreviewWish) -> Path:
        return preview_path(self._folder, wish.preset, self._weights_hash)

    def _paths(self, wish: PreviewWish) -> list[Path]:
        """Where a preview may lie: sung here, else as its pack brought it."""
        paths = [self._sung_path(wish)] if self._weights_hash else []
        return [*paths, recording_path(self._folder, wish.recording)] if wish.recording is not None else paths

    def _look_again(self) -> None:
        recorded = [(wish, True) for wish in self._wishes if wish.recording is not None]
        self._unlooked = deque((*recorded, *((wish, False) for wish in self._wishes)))

    def _look_at_weights(self) -> None:
        """On a thread of its own; the sampler's word counts for more."""
        assert self._read_weights is not None
        found = self._read_weights()
        if found and not self._weights_hash:
            self._weights_hash = found  # what was wanted before has not been looked at yet: see due()
