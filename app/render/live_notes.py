"""Notes played by hand, cell by cell: a held note is a passage that nobody wrote down."""

from __future__ import annotations

from collections import OrderedDict

from app.render.cache import CellCache
from app.render.controls import VoiceControls
from app.render.grid import CELL_S
from app.render.messages import LiveCell
from app.render.voice import EngineLike, ShouldStop, Tally, VoiceCells
from app.state.passage import Note, Passage, Voice
from synth.spec import Float32Array

# A key may be held this long; the controls beyond are silence.
_MAX_NOTE_S = 1800.0
_QUALITY = "live"
_NOTES_KEPT = 16


class LiveNotes:
    """Renders cells of held notes. A note struck before (same preset, pitch, velocity, seed) comes from the cache."""

    def __init__(self, engine: EngineLike, cache: CellCache) -> None:
        self._engine = engine
        self._cache = cache
        self._notes: OrderedDict[int, VoiceCells] = OrderedDict()

    def cell(self, command: LiveCell, should_stop: ShouldStop) -> Float32Array:
        """Samples of one cell of the note, counted from its onset -> [38400]. Raises Cancelled, UserError."""
        cells = self._notes.get(command.ticket)
        if cells is None:
            cells = self._notes[command.ticket] = self._begin(command)
            while len(self._notes) > _NOTES_KEPT:
                self._notes.popitem(last=False)
        return cells.audio(command.cell_index, should_stop)

    def _begin(self, command: LiveCell) -> VoiceCells:
        note = Note(0.0, _MAX_NOTE_S, command.note, command.velocity)
        voice = Voice("Live", command.preset.id, command.seed, (note,))
        passage = Passage(_MAX_NOTE_S, voices=(voice,))
        return VoiceCells(
            self._engine,
            self._cache,
            VoiceControls(passage, voice, command.preset),
            seed=command.seed,
            quality=_QUALITY,
            n_cells=round(_MAX_NOTE_S / CELL_S),
            tally=Tally(),
        )
