"""The performer plays what comes through the ring."""

from __future__ import annotations

import secrets
from multiprocessing import Pipe

from app.audio.shared import SharedState
from app.live.performance.gestures import VOICE_IN, KeyBent, KeyLifted, KeyPressed, LaneMoved
from app.live.stage.memory import StageMemory, onset_bytes
from app.live.stage.messages import StageSettings
from app.live.stage.meter import N_EVENTS, Meter
from app.live.stage.performer import LATENCY_BLOCKS, Performer
from app.live.voice_in.ring import GestureRing
from app.midi.ring import MidiRing

BLOCK = 128
NOW_S = 1000.0


def test_gestures_of_the_ring_are_played() -> None:
    meter, sound, midi, ring = Meter.create(), SharedState.create(), MidiRing.create(), GestureRing.create()
    settings = StageSettings(
        meter.name, f"stridor-test-{secrets.token_hex(4)}", sound.name, midi.name, onset_bytes(), voice_in=ring.name
    )
    memory = StageMemory.create(settings.memory, 1)
    _host, theirs = Pipe()
    performer = Performer(theirs, settings, memory)

    def pass_block(number: int) -> None:
        performer._clock.take((number + 1) * BLOCK, BLOCK, NOW_S + number * BLOCK / 48_000)
        performer._take_events()
        performer._block((number + 1 + LATENCY_BLOCKS) * BLOCK, BLOCK, LATENCY_BLOCKS * BLOCK)

    try:
        for number in range(4):
            pass_block(number)
        ring.push(LaneMoved(NOW_S, "technique.growl", 1.0))
        ring.push(KeyPressed(NOW_S, VOICE_IN, 0, 60.0, 96.0))
        ring.push(KeyBent(NOW_S, VOICE_IN, 0, 150.0))
        pass_block(4)
        voices = performer._instrument.sounding
        assert [voice.start.note for voice in voices] == [60.0]
        assert voices[0].start.lanes == {}
        assert int(meter.ints[N_EVENTS]) == 3
        performer._instrument.follow(NOW_S + 1.0)
        assert abs(float(memory.lanes[voices[0].slot, 0]) - 61.5) < 0.01
        ring.push(KeyLifted(NOW_S, VOICE_IN, 0))
        pass_block(5)
        assert int(meter.ints[N_EVENTS]) == 4
    finally:
        for part in (memory, ring, midi, sound, meter):
            part.close()
