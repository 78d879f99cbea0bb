"""What `render`, `play` and `measure` are given: a passage file or a MIDI file, with another preset or seed."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from app.store.passages import load_passage

if TYPE_CHECKING:
    from app.state.passage import Passage

MIDI_SUFFIXES = (".mid", ".midi", ".kar", ".smf")


def open_passage(path: Path, preset: str | None = None, seed: int | None = None) -> Passage:
    """Read `path`; what a MIDI file holds that a voice cannot do is said on standard error. Raises UserError."""
    from app.render.offline import with_overrides  # only commands that render need the rooms behind it
    from app.store.presets import load_preset

    chosen = None if preset is None else load_preset(preset)
    if path.suffix.lower() not in MIDI_SUFFIXES:
        return with_overrides(load_passage(path), chosen, seed)
    from app.store.midi_import import import_midi

    found = import_midi(path, chosen)
    for remark in found.remarks:
        sys.stderr.write(f"{path.name}: {remark}\n")
    return with_overrides(found.passage, chosen, seed)
