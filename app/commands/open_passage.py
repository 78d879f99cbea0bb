"""What `render`, `play` and `measure` are given: a passage file or a MIDI file, with another preset or seed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from app.store.passages import load_passage

if TYPE_CHECKING:
    from app.state.passage import Passage

MIDI_SUFFIXES = (".mid", ".midi", ".kar", ".smf")


def open_passage(path: Path, preset: str | None = None, seed: int | None = None) -> Passage:
    """Read `path`; a MIDI file is sung with `preset`. Raises UserError."""
    from app.render.offline import with_overrides  # only commands that render need the rooms behind it
    from app.store.presets import load_preset

    if preset is not None:
        load_preset(preset)  # says which presets there are, before anything is read or loaded
    if path.suffix.lower() in MIDI_SUFFIXES:
        from app.store.midi_import import passage_from_midi

        return with_overrides(passage_from_midi(path, preset), None, seed)
    return with_overrides(load_passage(path), preset, seed)
