"""What MIDI program changes choose from: the user's numbers first, then the browser's order."""

from __future__ import annotations

import logging
from typing import Final

from app.state.preset import Preset
from app.store.preset_index import PresetIndex, read_index
from app.store.preset_library import N_PROGRAMS, PresetLibrary, load_library
from app.store.presets import load_preset_file
from synth.errors import UserError

_logger = logging.getLogger(__name__)

LARGEST_BANK: Final = N_PROGRAMS


def bank_ids(library: PresetLibrary, index: PresetIndex, *, most: int = LARGEST_BANK) -> list[str]:
    """Preset ids by program number, at most `most`.

    A preset that the user gave a number has that number; the others fill the numbers left, in the order of the index.
    A number whose preset is gone is filled like a free one.
    """
    given = {number: name for number, name in library.programs.items() if number < most and index.find(name)}
    others = iter([row.id for row in index.rows if row.id not in given.values()])
    ids: list[str] = []
    for number in range(most):
        found = given.get(number) or next(others, None)
        if found is not None:
            ids.append(found)
        elif any(later > number for later in given):
            ids.append(index.rows[0].id)  # so that the numbers behind it keep their places
        else:
            break
    return ids


def read_bank(*, most: int = LARGEST_BANK) -> list[Preset]:
    """The bank's presets, read. A file that has just become unreadable is logged and left out."""
    try:
        library = load_library()
    except UserError as fault:
        _logger.info("Program numbers left out: %s", fault)
        library = PresetLibrary()
    index = read_index()
    presets: list[Preset] = []
    for preset_id in bank_ids(library, index, most=most):
        row = index.find(preset_id)
        try:
            if row is not None:
                presets.append(load_preset_file(row.path))
        except UserError as fault:
            _logger.info("Program left out: %s", fault)
    return presets
