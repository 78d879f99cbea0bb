"""A block is the same memory for everybody who knows its name, and goes with who made it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from app.audio.shared import LIVE_READ, SharedState
from app.live.stage.meter import GAIN, N_EVENTS, Meter
from app.live.voice_in.ring import GestureRing
from app.midi.ring import MidiRing
from app.shared_block import SharedBlock

BLOCKS: list[type[SharedBlock]] = [SharedState, Meter, MidiRing, GestureRing]


@pytest.mark.parametrize("kind", BLOCKS)
def test_a_block_goes_with_who_made_it(kind: type[SharedBlock]) -> None:
    made = kind.create()
    other = kind.attach(made.name)
    other.close()
    kind.attach(made.name).close()  # whoever only looked at it has not deleted it
    made.close()
    made.close()
    with pytest.raises(FileNotFoundError):
        kind.attach(made.name)


@pytest.mark.parametrize("kind", BLOCKS)
def test_views_fill_the_block_and_never_overlap(kind: type[SharedBlock]) -> None:
    made = kind.create()
    assert made._taken_bytes == kind.N_BYTES
    made.close()


@pytest.mark.parametrize(
    ("make", "field"), [(SharedState.create, LIVE_READ), (Meter.create, N_EVENTS)], ids=["state", "meter"]
)
def test_what_one_writes_the_other_reads(make: Callable[[], SharedState | Meter], field: int) -> None:
    made = make()
    other = type(made).attach(made.name)
    made.ints[field] = 7
    assert other.ints[field] == 7
    other.close()
    made.close()


def test_a_closed_meter_still_tells_its_last_figures() -> None:
    meter = Meter.create()
    meter.ints[N_EVENTS] = 3
    meter.close()
    assert (meter.ints[N_EVENTS], meter.floats[GAIN]) == (3, 1.0)
