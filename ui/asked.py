"""What the passage asks of each lane, frame by frame: resolved a block at a time, in the pauses of the event loop."""

from __future__ import annotations

import numpy as np
from PySide6.QtCore import QObject, QTimer, Signal

from app.state.resolve import resolve
from synth.spec import HOP_S, LANE_IDS, Float32Array
from ui.document import Document

BLOCK_FRAMES = 512
_FIRST_BLOCKS = 4  # shown before the rest is known


class AskedCurves(QObject):
    """Resolved lanes of the chosen voice. After an edit the old values stay until the new ones are known."""

    changed = Signal()

    def __init__(self, document: Document, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._document = document
        self._values: dict[str, Float32Array] = {}
        self._stale: list[int] = []
        self._wanted_frame = 0
        self._resolved_this_time = 0
        self._has_news = False
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(0)
        self._timer.timeout.connect(self._resolve_some)
        document.changed.connect(self._restart)
        document.voice_chosen.connect(self._forget)
        self._forget()

    @property
    def n_frames(self) -> int:
        return len(self._values[LANE_IDS[0]])

    @property
    def is_complete(self) -> bool:
        """Whether every block has been resolved since the last edit."""
        return not self._stale

    def look_at(self, t_s: float) -> None:
        """Resolve from here first."""
        self._wanted_frame = int(t_s / HOP_S)

    def values(self, lane_id: str) -> Float32Array:
        """A lane over the whole passage, NaN where not resolved yet. -> [n_frames], read only"""
        return self._values[lane_id]

    def times_s(self) -> np.ndarray:
        """Frame centres. -> [n_frames] float64"""
        return (np.arange(self.n_frames) + 0.5) * HOP_S

    def finish(self) -> None:
        """Resolve all that is left, now."""
        while self._stale:
            self._resolve_block(self._stale.pop(0))
        self.changed.emit()

    def _forget(self) -> None:
        n_frames = self._document.passage.n_frames
        self._values = {lane_id: np.full(n_frames, np.nan, dtype=np.float32) for lane_id in LANE_IDS}
        self._restart()

    def _restart(self) -> None:
        n_frames = self._document.passage.n_frames
        if n_frames != self.n_frames:
            kept = min(n_frames, self.n_frames)
            for lane_id, old in self._values.items():
                grown = np.full(n_frames, np.nan, dtype=np.float32)
                grown[:kept] = old[:kept]
                self._values[lane_id] = grown
        self._stale = list(range(-(-n_frames // BLOCK_FRAMES)))
        self._resolved_this_time = 0
        self._timer.start()

    def _resolve_some(self) -> None:
        """One block, the nearest after what is looked at; views hear of it once, at the end."""
        if self._stale:
            wanted = self._wanted_frame // BLOCK_FRAMES
            nearest = min(self._stale, key=lambda block: (block < wanted, abs(block - wanted)))
            self._stale.remove(nearest)
            self._resolve_block(nearest)
        at_front = self._resolved_this_time == _FIRST_BLOCKS
        if self._stale:
            self._timer.start()
        if self._has_news and (not self._stale or at_front):
            self._has_news = False
            self.changed.emit()

    def _resolve_block(self, block: int) -> None:
        document = self._document
        start = block * BLOCK_FRAMES
        count = min(BLOCK_FRAMES, self.n_frames - start)
        frames = resolve(document.passage, document.voice, document.preset, start, count)
        self._resolved_this_time += 1
        for lane_id in LANE_IDS:
            held = self._values[lane_id][start : start + count]
            if not np.array_equal(held, frames.values[lane_id]):
                held[:] = frames.values[lane_id]
                self._has_news = True
