"""What every strip along the time axis shares."""

from __future__ import annotations

from dataclasses import dataclass

from PySide6.QtCore import QObject, Signal

from app.state.passage import Tempo
from ui.asked import AskedCurves
from ui.canvas.axis import TimeAxis, grid_snap
from ui.document import Document
from ui.frame_probe import FrameProbe
from ui.measured import MeasuredCurves
from ui.theme import Theme
from ui.tools.model import Snap
from ui.tools.toolbox import ToolName


class Playhead(QObject):
    """Where playing is, and the loop. `moved(before_s, after_s)`."""

    moved = Signal(float, float)
    loop_changed = Signal()
    seek_requested = Signal(float)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.position_s = 0.0
        self.loop: tuple[float, float] | None = None

    def show_position(self, position_s: float) -> None:
        """Move the line; emits only when it moved."""
        before_s, self.position_s = self.position_s, position_s
        if before_s != position_s:
            self.moved.emit(before_s, position_s)

    def set_loop(self, loop: tuple[float, float] | None) -> None:
        """Change the looped stretch."""
        if loop != self.loop:
            self.loop = loop
            self.loop_changed.emit()

    def seek(self, t_s: float) -> None:
        """Ask for playing to go on from here."""
        self.seek_requested.emit(max(t_s, 0.0))


class ToolState(QObject):
    """The chosen tool, snapping and what the pointer reads."""

    changed = Signal()
    readout = Signal(str)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.name = ToolName.PEN
        self.snaps = False
        self.beats: bool | None = None  # the grid in beats or in seconds; None: beats when the passage has a tempo

    def choose(self, name: ToolName) -> None:
        """Take up a tool."""
        if name is not self.name:
            self.name = name
            self.changed.emit()

    def set_snaps(self, snaps: bool) -> None:
        """Keep to the grid, or not."""
        if snaps != self.snaps:
            self.snaps = snaps
            self.changed.emit()

    def set_beats(self, beats: bool) -> None:
        """The grid in beats, or in seconds."""
        if beats != self.beats:
            self.beats = beats
            self.changed.emit()


@dataclass(frozen=True, slots=True)
class CanvasContext:
    """The shared objects, handed to each strip."""

    document: Document
    axis: TimeAxis
    theme: Theme
    playhead: Playhead
    tools: ToolState
    asked: AskedCurves
    measured: MeasuredCurves
    probe: FrameProbe

    @property
    def shows_beats(self) -> bool:
        """Whether grid and ruler count bars and beats."""
        chosen = self.tools.beats
        return self.document.passage.tempo != Tempo() if chosen is None else chosen

    def snap(self, *, enabled: bool | None = None) -> Snap:
        """The grid as it is drawn; `enabled` None: as the user chose."""
        is_on = self.tools.snaps if enabled is None else enabled
        tempo = self.document.passage.tempo if self.shows_beats else None
        return grid_snap(self.axis.view, tempo, enabled=is_on)
