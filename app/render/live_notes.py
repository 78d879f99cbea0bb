"""Notes played by hand, cell by cell: a held note is a passage that is being written while it sounds."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import replace

import numpy as np

from app.render.cache import CellCache
from app.render.controls import VoiceControls
from app.render.grid import CELL_S
from app.render.messages import LiveCell
from app.render.voice import EngineLike, ShouldStop, Tally, VoiceCells
from app.state.passage import Lane, Note, Passage, Point, Voice
from app.state.resolve import resolve
from synth.spec import FRAME_RATE_HZ, Float32Array, lane
from synth.spec.audio import CONTEXT_FRAMES

# A key may be held this long; the controls beyond are silence.
_MAX_NOTE_S = 1800.0
_QUALITY = "live"
_NOTES_KEPT = 16
# A knob's new value enters a cell where the window of the cell before has ended: what has been heard stays true.
_ENTER_AFTER_S = CONTEXT_FRAMES / FRAME_RATE_HZ
_ENTER_OVER_S = 0.05


class LiveNotes:
    """Renders cells of held notes. A note struck before (same preset, pitch, velocity, seed) comes from the cache."""

    def __init__(self, engine: EngineLike, cache: CellCache) -> None:
        self._engine = engine
        self._cache = cache
        self._notes: OrderedDict[int, _HeldNote] = OrderedDict()

    def cell(self, command: LiveCell, should_stop: ShouldStop) -> Float32Array:
        """Samples of one cell of the note, counted from its onset -> [38400]. Raises Cancelled, UserError."""
        held = self._notes.get(command.ticket)
        if held is None:
            held = self._notes[command.ticket] = _HeldNote(command)
            while len(self._notes) > _NOTES_KEPT:
                self._notes.popitem(last=False)
        if held.follow(command) or held.cells is None:
            held.cells = VoiceCells(
                self._engine,
                self._cache,
                VoiceControls(held.passage, held.passage.voices[0], command.preset),
                seed=command.seed,
                quality=_QUALITY,
                n_cells=round(_MAX_NOTE_S / CELL_S),
                tally=Tally(),
            )
        audio = held.cells.audio(command.cell_index, should_stop)
        level_db = command.preset.level_db
        return audio if level_db == 0.0 else audio * np.float32(10.0 ** (level_db / 20.0))


class _HeldNote:
    """The passage of one note, and how its controllers have moved so far."""

    def __init__(self, command: LiveCell) -> None:
        note = Note(0.0, _MAX_NOTE_S, lane("pitch").clamp(command.note), command.velocity)
        self._voice = Voice("Live", command.preset.id, command.seed, (note,))
        self.passage = Passage(_MAX_NOTE_S, voices=(self._voice,))
        self.cells: VoiceCells | None = None
        rest = resolve(self.passage, self._voice, command.preset, 0, 1).values
        self._rest = {lane_id: float(values[0]) for lane_id, values in rest.items()}
        self._points: dict[str, list[Point]] = {}
        self._followed = -1  # the newest cell whose controllers are in the lanes

    def follow(self, command: LiveCell) -> bool:
        """Let the lanes go where the controllers are, from the asked cell on -> whether anything moved."""
        if command.cell_index <= self._followed:
            return False
        self._followed = command.cell_index
        wanted = {lane_id: lane(lane_id).clamp(value) for lane_id, value in command.lanes.items()}
        if command.loudness_offset_db != 0.0 or "loudness" in self._points:
            wanted["loudness"] = lane("loudness").clamp(self._rest["loudness"] + command.loudness_offset_db)
        moved = False
        for lane_id in sorted(wanted.keys() | self._points.keys()):
            value = wanted.get(lane_id, self._rest[lane_id])
            points = self._points.get(lane_id, [(0.0, self._rest[lane_id])])
            if value == points[-1][1]:
                continue
            moved = True
            if command.cell_index == 0:
                points = [(0.0, value)]
            else:
                enter_s = command.cell_index * CELL_S + _ENTER_AFTER_S
                points = [*points, (enter_s, points[-1][1]), (enter_s + _ENTER_OVER_S, value)]
            self._points[lane_id] = points
        if moved:
            lanes = {lane_id: Lane(tuple(points)) for lane_id, points in self._points.items()}
            self.passage = self.passage.with_voice(0, replace(self._voice, lanes=lanes))
        return moved
