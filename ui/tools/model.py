"""What tools see and what they hand back: pointers, scenes, previews, selections and edits. Pure Python."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from app.state.passage import Note

Points = tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True)
class Pointer:
    """Where the pointer is, in seconds and in the lane's unit (note numbers in the roll)."""

    t_s: float
    value: float
    shift: bool = False
    control: bool = False
    alt: bool = False


def _unsnapped(t_s: float) -> float:
    return t_s


@dataclass(frozen=True, slots=True)
class Snap:
    """The grid tools keep to. Control held means: off for this gesture."""

    enabled: bool = False
    nearest_s: Callable[[float], float] = _unsnapped
    step_s: float = 0.1

    def time(self, at: Pointer) -> float:
        """The pointer's time, on the grid when snapping is on."""
        return max(self.nearest_s(at.t_s), 0.0) if self.enabled and not at.control else at.t_s


@dataclass(frozen=True, slots=True)
class Selection:
    """A stretch of one lane, or notes of the roll (which also carry the stretch they span)."""

    lane_id: str
    start_s: float
    end_s: float
    notes: frozenset[int] = frozenset()

    def contains(self, t_s: float) -> bool:
        """Whether a time lies in the stretch."""
        return self.start_s <= t_s <= self.end_s


@dataclass(frozen=True, slots=True)
class Scene:
    """What a gesture starts from. `notes` is empty except in the roll, whose lane is `pitch`."""

    lane_id: str
    minimum: float
    maximum: float
    duration_s: float
    points: Points = ()
    notes: tuple[Note, ...] = ()
    snap: Snap = field(default_factory=Snap)
    value_step: float = 0.0
    selection: Selection | None = None
    edge_s: float = 0.03
    in_roll: bool = False

    def value(self, at: Pointer) -> float:
        """The pointer's value, clamped, and on whole steps when snapping is on."""
        value = at.value
        if self.value_step > 0 and self.snap.enabled and not at.control:
            value = round(value / self.value_step) * self.value_step
        return min(max(value, self.minimum), self.maximum)

    def clamp_time(self, t_s: float) -> float:
        """A time inside the passage."""
        return min(max(t_s, 0.0), self.duration_s)


@dataclass(frozen=True, slots=True)
class DrawCurve:
    """Replace what the lane holds between the first and the last point."""

    lane_id: str
    points: Points


@dataclass(frozen=True, slots=True)
class EraseCurve:
    """Remove a stretch of the lane."""

    lane_id: str
    start_s: float
    end_s: float


@dataclass(frozen=True, slots=True)
class MoveCurve:
    """Shift a stretch of the lane in time and value."""

    lane_id: str
    start_s: float
    end_s: float
    by_s: float
    by_value: float


@dataclass(frozen=True, slots=True)
class AddNotes:
    notes: tuple[Note, ...]


@dataclass(frozen=True, slots=True)
class ReplaceNotes:
    """Notes by their index in the voice, and what they become."""

    changes: tuple[tuple[int, Note], ...]


@dataclass(frozen=True, slots=True)
class DeleteNotes:
    indices: frozenset[int]


Edit = DrawCurve | EraseCurve | MoveCurve | AddNotes | ReplaceNotes | DeleteNotes
Outcome = Edit | Selection | None


@dataclass(frozen=True, slots=True)
class Preview:
    """What to paint over the passage while a gesture is under way."""

    curve: Points = ()
    erased_s: tuple[float, float] | None = None
    band: tuple[float, float, float, float] | None = None  # start_s, low, end_s, high
    notes: tuple[Note, ...] = ()
    hidden_notes: frozenset[int] = frozenset()

    @property
    def is_empty(self) -> bool:
        return not (self.curve or self.erased_s or self.band or self.notes or self.hidden_notes)


class Tool(Protocol):
    """One gesture at a time: press, any number of moves, then release or cancel."""

    def press(self, at: Pointer, scene: Scene) -> None: ...

    def move(self, at: Pointer) -> None: ...

    def release(self, at: Pointer) -> Outcome: ...

    def cancel(self) -> None: ...

    @property
    def preview(self) -> Preview: ...
