"""Undo and redo over immutable passages.

Belongs to the window's thread. A step is a name and the passage it led to; passages share all they have in common,
so a thousand steps cost little.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from app.state.passage import Passage

DEFAULT_CAPACITY: Final = 500


@dataclass(frozen=True, slots=True)
class _Step:
    name: str
    before: Passage
    after: Passage


class History:
    """The present passage, the way back and the way forward."""

    def __init__(self, passage: Passage, *, capacity: int = DEFAULT_CAPACITY) -> None:
        if capacity < 1:
            raise ValueError(f"a history holds at least one step, not {capacity}")
        self._capacity = capacity
        self._present = passage
        self._saved: Passage | None = passage
        self._done: list[_Step] = []
        self._undone: list[_Step] = []
        self._group: str | None = None
        self._group_start = passage

    @property
    def passage(self) -> Passage:
        """What is on screen now."""
        return self._present

    @property
    def is_dirty(self) -> bool:
        """Whether there is something to save; undoing back to the saved passage is clean again."""
        return self._present is not self._saved and self._present != self._saved

    @property
    def undo_name(self) -> str | None:
        """What undo would take back, or None."""
        if self._group is not None and self._present is not self._group_start:
            return self._group
        return self._done[-1].name if self._done else None

    @property
    def redo_name(self) -> str | None:
        """What redo would bring back, or None."""
        return self._undone[-1].name if self._undone else None

    def push(self, name: str, passage: Passage) -> None:
        """Make `passage` the present. Inside a group only the group as a whole becomes a step."""
        if self._group is None:
            self._append(name, self._present, passage)
        self._present = passage

    def begin_group(self, name: str) -> None:
        """Start gathering pushes, one pen stroke say, into one step. A group left open before is closed first."""
        self.end_group()
        self._group, self._group_start = name, self._present

    def end_group(self) -> None:
        """Close the open group, if any. A group that changed nothing leaves no step."""
        if self._group is None:
            return
        name, self._group = self._group, None
        self._append(name, self._group_start, self._present)

    def cancel_group(self) -> Passage:
        """Abandon the open group, if any: back to where it began."""
        if self._group is not None:
            self._group, self._present = None, self._group_start
        return self._present

    def undo(self) -> Passage:
        """One step back, or nothing where there is none. -> the present passage"""
        self.end_group()
        if self._done:
            step = self._done.pop()
            self._undone.append(step)
            self._present = step.before
        return self._present

    def redo(self) -> Passage:
        """One step forward again, or nothing where there is none. -> the present passage"""
        self.end_group()
        if self._undone:
            step = self._undone.pop()
            self._done.append(step)
            self._present = step.after
        return self._present

    def mark_saved(self, passage: Passage | None = None) -> None:
        """`passage` (default: the present one) is what the file holds now."""
        self._saved = self._present if passage is None else passage

    def mark_unsaved(self) -> None:
        """No file holds any of this: after recovery, or for an imported passage."""
        self._saved = None

    def reset(self, passage: Passage) -> None:
        """Begin anew with a passage just opened."""
        self._present = self._saved = self._group_start = passage
        self._group = None
        self._done.clear()
        self._undone.clear()

    def _append(self, name: str, before: Passage, after: Passage) -> None:
        if before is after or before == after:
            return
        self._done.append(_Step(name, before, after))
        del self._done[: -self._capacity]
        self._undone.clear()
