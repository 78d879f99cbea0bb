"""The open passage: its history, the chosen voice, the selection. Views read it; only user actions write it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QObject, Signal

from app.state import edits
from app.state.history import History
from app.state.passage import Passage, Voice
from app.state.preset import NEUTRAL_PRESET, Preset
from app.state.selection import Clipping, copy_selection, delete_selection, move_selection, paste, select_range
from app.state.selection import Selection as Caught
from synth.errors import UserError
from synth.spec import LaneSpec
from ui.edit_passage import apply_edit, edit_name
from ui.tools.model import DrawCurve, Edit, Selection

Float64Array = NDArray[np.float64]
NEW_DURATION_S = 8.0
_STEP_SHARE = 0.01  # of a lane's range, for one press of an arrow key
_COARSE = 10


class Document(QObject):
    """Signals tell what changed; `fault` carries (message, remedy) of what an edit could not do."""

    changed = Signal()
    voice_chosen = Signal()
    selection_changed = Signal()
    file_changed = Signal()
    replaced = Signal()
    fault = Signal(str, str)

    def __init__(
        self, passage: Passage, preset_of: Callable[[str | None], Preset], parent: QObject | None = None
    ) -> None:
        super().__init__(parent)
        self._history = History(passage)
        self._preset_of = preset_of
        self._voice_index = 0
        self._selection: Selection | None = None
        self._clipping: Clipping | None = None
        self._arrays: dict[str, tuple[object, Float64Array, Float64Array]] = {}
        self.path: Path | None = None
        self.active_lane_id = "pitch"

    @property
    def passage(self) -> Passage:
        return self._history.passage

    @property
    def history(self) -> History:
        return self._history

    @property
    def voice_index(self) -> int:
        return min(self._voice_index, len(self.passage.voices) - 1)

    @property
    def voice(self) -> Voice:
        return self.passage.voices[self.voice_index]

    @property
    def preset(self) -> Preset:
        """The chosen voice's preset; the neutral one when it names none or one that is not installed."""
        try:
            return self._preset_of(self.voice.preset)
        except UserError:
            return NEUTRAL_PRESET

    @property
    def selection(self) -> Selection | None:
        return self._selection

    @property
    def can_paste(self) -> bool:
        return self._clipping is not None

    def lane_arrays(self, lane_id: str) -> tuple[Float64Array, Float64Array]:
        """(t_s, values) of a drawn lane, empty when it is not drawn; kept until the lane changes."""
        lane = self.voice.lanes.get(lane_id)
        kept = self._arrays.get(lane_id)
        if kept is not None and kept[0] is lane:
            return kept[1], kept[2]
        table = np.array(lane.points if lane is not None else (), dtype=np.float64).reshape(-1, 2)
        times, values = np.ascontiguousarray(table[:, 0]), np.ascontiguousarray(table[:, 1])
        self._arrays[lane_id] = (lane, times, values)
        return times, values

    def open(self, passage: Passage, path: Path | None, *, is_saved: bool = True) -> None:
        """Put another passage in place of this one; the way back ends here."""
        self._history.reset(passage)
        if not is_saved:
            self._history.mark_unsaved()
        self.path = path
        self._voice_index, self._selection = 0, None
        self._arrays.clear()
        self.replaced.emit()
        self.voice_chosen.emit()
        self.changed.emit()
        self.file_changed.emit()

    def saved_as(self, path: Path, passage: Passage) -> None:
        """`passage` lies in `path` now."""
        self.path = path
        self._history.mark_saved(passage)
        self.file_changed.emit()

    def perform(self, name: str, change: Callable[[Passage], Passage]) -> bool:
        """One step of history. Trouble a person can mend is told by `fault`. -> whether the passage changed"""
        try:
            after = change(self.passage)
        except UserError as error:
            self.fault.emit(error.message, error.remedy)
            return False
        if after == self.passage:
            return False
        self._history.push(name, after)
        self._after_change()
        return True

    def apply(self, edit: Edit) -> None:
        """Carry out what a tool handed back."""
        index = self.voice_index
        selection = self._selection
        name = edit_name(edit)
        moved: list[Selection | None] = []

        def change(passage: Passage) -> Passage:
            after, kept = apply_edit(passage, index, edit, selection)
            moved.append(kept)
            return after

        if self.perform(name, change):
            self.select(moved[-1])

    def undo(self) -> None:
        """One step back."""
        self._history.undo()
        self._after_step()

    def redo(self) -> None:
        """One step forward again."""
        self._history.redo()
        self._after_step()

    def select(self, selection: Selection | None) -> None:
        """Choose a stretch or notes; None: nothing."""
        if selection != self._selection:
            self._selection = selection
            self.selection_changed.emit()

    def select_all(self) -> None:
        """All notes when the roll is active, else the whole of the active lane."""
        notes = frozenset(range(len(self.voice.notes))) if self.active_lane_id == "pitch" else frozenset()
        self.select(Selection(self.active_lane_id, 0.0, self.passage.duration_s, notes))

    def choose_voice(self, index: int) -> None:
        """Edit another voice."""
        if 0 <= index < len(self.passage.voices) and index != self._voice_index:
            self._voice_index = index
            self._arrays.clear()
            self.select(None)
            self.voice_chosen.emit()

    def copy(self) -> bool:
        """Keep what is selected for pasting. -> whether there was anything"""
        caught = self._caught()
        if caught is None or caught.is_empty:
            return False
        self._clipping = copy_selection(self.passage, self.voice_index, caught)
        return True

    def paste_at(self, at_s: float) -> None:
        """Lay the copied things down and select them."""
        clipping = self._clipping
        if clipping is None:
            return
        pasted: list[Caught] = []

        def change(passage: Passage) -> Passage:
            after, caught = paste(passage, self.voice_index, clipping, at_s)
            pasted.append(caught)
            return after

        if self.perform("Paste", change):
            self.select(self._stretch_of(pasted[-1]))

    def delete_selected(self) -> None:
        """Remove what is selected."""
        caught = self._caught()
        if caught is not None and self.perform("Delete", lambda p: delete_selection(p, self.voice_index, caught)):
            self.select(None)

    def nudge(self, spec: LaneSpec, sign: int, *, coarse: bool, at_s: float) -> None:
        """An arrow key: shift the selection, or draw a point at the playhead where nothing is selected."""
        is_pitch = spec.id in ("pitch", "bend")
        step = (
            (12.0 if coarse else 1.0)
            if is_pitch
            else (spec.maximum - spec.minimum) * _STEP_SHARE * (_COARSE if coarse else 1)
        )
        caught = self._caught()
        if caught is not None and not caught.is_empty:
            shifted: list[Caught] = []

            def change(passage: Passage) -> Passage:
                after, kept = move_selection(
                    passage,
                    self.voice_index,
                    caught,
                    by_semitones=sign * step,
                    by_value=None if spec.id == "pitch" else {spec.id: sign * step},
                )
                shifted.append(kept)
                return after

            if self.perform("Transpose" if is_pitch else f"Move {spec.title}", change) and caught.notes:
                self.select(self._stretch_of(shifted[-1]))
            return
        lane = self.voice.lanes.get(spec.id)
        value = lane.value_at(at_s) if lane is not None else self.preset.lane_defaults.get(spec.id, spec.default)
        self.apply(DrawCurve(spec.id, ((at_s, spec.clamp(value + sign * step)),)))

    def set_preset(self, preset_id: str) -> None:
        """Let another preset sing the chosen voice."""
        self.perform("Choose Preset", lambda p: edits.set_preset(p, self.voice_index, preset_id))

    def clear_lane(self, lane_id: str) -> None:
        """Undraw a lane: notes and preset speak again."""
        self.perform("Clear Lane", lambda p: edits.set_lane(p, self.voice_index, lane_id, None))

    def ensure_duration(self, duration_s: float) -> None:
        """Lengthen the passage to hold what ends at `duration_s`."""
        if duration_s > self.passage.duration_s:
            self.perform("Lengthen", lambda p: replace(p, duration_s=duration_s))

    def _caught(self) -> Caught | None:
        selection = self._selection
        if selection is None:
            return None
        if selection.notes:
            return Caught(frozenset(index for index in selection.notes if index < len(self.voice.notes)))
        return select_range(
            self.passage,
            self.voice_index,
            selection.start_s,
            selection.end_s,
            lane_ids=(selection.lane_id,),
            notes=False,
        )

    def _stretch_of(self, caught: Caught) -> Selection | None:
        voice = self.voice
        if caught.notes:
            notes = [voice.notes[index] for index in caught.notes]
            return Selection("pitch", min(n.start_s for n in notes), max(n.end_s for n in notes), caught.notes)
        for lane_id, indexes in caught.points.items():
            times_s = [voice.lanes[lane_id].points[index][0] for index in indexes]
            return Selection(lane_id, min(times_s), max(times_s))
        return None

    def _after_step(self) -> None:
        self.select(None)
        self._after_change()

    def _after_change(self) -> None:
        if self._voice_index >= len(self.passage.voices):
            self._voice_index = len(self.passage.voices) - 1
            self.voice_chosen.emit()
        self.changed.emit()
        self.file_changed.emit()
