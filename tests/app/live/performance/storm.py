"""Many random notes, played as badly as controllers can: counted, none lost, none stuck.

`python -m tests.app.live.performance.storm 100000` plays the long one and prints what came of it.
"""

from __future__ import annotations

import random
import sys
import time
from dataclasses import dataclass

from app.live.performance.commands import Release, StartVoice
from app.live.performance.keys import LATE_S
from app.live.performance.performance import Performance
from app.midi.stream import MidiStream
from app.state.controller_profile import ControllerProfile, default_profile
from app.state.preset import NEUTRAL_PRESET
from tests.app.live.performance.stage import Books

BLOCK_S = 128 / 48_000
ENGINE_DELAY_S = 0.005  # from command to first sample
TAIL_S = 0.12


@dataclass(frozen=True, slots=True)
class StormReport:
    n_notes: int  # note-ons sent
    n_started: int
    n_lost: int  # killed, or told to end, before the engine had sounded them
    n_stuck: int  # neither released nor killed once every key was up
    n_events: int
    cpu_s: float


def play_storm(n_notes: int, *, seed: int, profile: ControllerProfile | None = None) -> StormReport:
    """Play `n_notes` of 1 to 60 ms in random order among other messages, in real-time blocks, on a bookkeeping engine.

    The engine sounds a voice ENGINE_DELAY_S after it was told to, and ends a tail after TAIL_S.
    """
    chance = random.Random(seed)
    performance = Performance(profile or default_profile("storm"), NEUTRAL_PRESET)
    stream, books = MidiStream(), Books()
    waiting: list[tuple[float, int]] = []  # voices about to sound
    keys_up: list[tuple[float, int, int]] = []
    heard: set[int] = set()
    now_s, n_sent, n_events, n_unheard = 0.0, 0, 0, 0
    began_s = time.process_time()
    while n_sent < n_notes or keys_up:
        now_s += BLOCK_S
        data = bytearray()
        if n_sent < n_notes and chance.random() < 0.2:
            channel, note = chance.randrange(16), chance.randrange(24, 97)
            data += bytes((0x90 | channel, note, chance.randrange(1, 128)))
            keys_up.append((now_s + chance.uniform(0.001, 0.06), channel, note))
            n_sent += 1
        for due in [due for due in keys_up if due[0] <= now_s]:
            keys_up.remove(due)
            data += bytes((0x80 | due[1], due[2], 64)) if chance.random() < 0.5 else bytes((0x90 | due[1], due[2], 0))
        if chance.random() < 0.5:
            data += _other_message(chance)
        messages = stream.feed(bytes(data), now_s)
        n_events += len(messages)
        commands = [command for message in messages for command in performance.feed(message)]
        for voice in [voice for due_s, voice in waiting if due_s <= now_s]:
            performance.sounded(voice, now_s)
            heard.add(voice)
        waiting = [due for due in waiting if due[0] > now_s]
        commands += performance.advance(now_s)
        waiting += [(now_s + ENGINE_DELAY_S, command.voice) for command in commands if isinstance(command, StartVoice)]
        books.take(commands)
        n_unheard += sum(command.voice not in heard for command in commands if isinstance(command, Release))
    for _, voice in waiting:
        performance.sounded(voice, now_s)
    books.take(performance.advance(now_s + LATE_S / 2))
    spent_s = time.process_time() - began_s
    return StormReport(n_sent, books.n_started, performance.n_lost + n_unheard, len(books.playing), n_events, spent_s)


def _other_message(chance: random.Random) -> bytes:
    channel, value = chance.randrange(16), chance.randrange(128)
    match chance.randrange(4):
        case 0:
            return bytes((0xE0 | channel, 0, value))
        case 1:
            return bytes((0xD0 | channel, value))
        case 2:
            return bytes((0xB0 | channel, chance.choice((1, 2, 11, 74)), value))
        case _:
            return b"\xf8"


if __name__ == "__main__":
    sys.stdout.write(f"{play_storm(int(sys.argv[1]) if len(sys.argv) > 1 else 100_000, seed=1)}\n")
