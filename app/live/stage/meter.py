"""What the live engine's processes tell of themselves: counters in shared memory, and their reading for the screen.

Each field has one writer. This module needs neither torch nor the model, so the window may read it.
"""

from __future__ import annotations

from dataclasses import dataclass
from multiprocessing.shared_memory import SharedMemory
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

from app.shared_block import SharedBlock

N_LATENCIES: Final = 1024  # notes whose latency is kept
UNLIMITED_VOICES: Final = 1 << 16

# Integer fields, each with its writer
SAMPLER_EPOCH: Final = 0  # sampler; grows whenever one is ready
SAMPLER_BEAT: Final = 1  # sampler
PERFORMER_BEAT: Final = 2  # performer
N_STEPS: Final = 3  # sampler; jumps a block of latents is drawn in
MAX_VOICES: Final = 4  # sampler; how many it can keep up with
CACHE_WANTED: Final = 5  # sampler; onsets to be made ahead
CACHE_MADE: Final = 6  # sampler
HITS: Final = 7  # performer; notes that began with an onset made ahead
MISSES: Final = 8  # performer; notes that waited for theirs
VOICES: Final = 9  # performer; that sound now
LATE_BLOCKS: Final = 10  # performer; blocks of the stream that were written too late
N_LATENCIES_TOLD: Final = 11  # performer; notes whose latency has been told
N_EVENTS: Final = 12  # performer; MIDI messages and gestures
N_NOTES: Final = 13  # performer
N_LOST: Final = 14  # performer; notes that ended unheard
STOLEN: Final = 15  # performer; voices that ended for want of power
LIMITED_BLOCKS: Final = 16  # performer; in which the limiter worked
LATE_FRAMES: Final = 17  # performer; frames the sampler did not make in time
PRESET: Final = 18  # performer; index in the bank of what the next note sings
REDRAWN: Final = 19  # sampler; blocks drawn anew because a lane moved
CACHE_BYTES: Final = 20  # sampler
STARVED: Final = 21  # performer; voices that faded because the sampler had gone
PRESET_WANTED: Final = 22  # sampler; onsets to be made ahead for what the next note sings
PRESET_MADE: Final = 23  # sampler
CACHE_LIMIT_BYTES: Final = 24  # sampler; what onsets made ahead may take
STOLEN_UNHEARD: Final = 25  # performer; of the lost notes, those that made room for others
LATENTS_BYTES: Final = 26  # sampler; latents of onsets, kept by content within a budget of their own
_N_INTS: Final = 32
# Float fields
SAMPLER_LOAD: Final = 0  # sampler; share of a core, over about a second
PERFORMER_LOAD: Final = 1  # performer; likewise
DRAW_MS: Final = 2  # sampler; the last draw
FRAMES_MS: Final = 3  # sampler; the last pass of the network
BLOCK_MS: Final = 4  # performer; the slowest block of the last second
PEAK: Final = 5  # performer; linear, before the limiter, decaying
LIMITER_GAIN: Final = 6  # performer; 1 = it does nothing
LATENCY_S: Final = 7  # performer; from an event's stamp to the stream, by construction
GAIN: Final = 8  # host; linear level of the output
TEMPO_BPM: Final = 9  # performer; of the MIDI clock, 0 = none
_N_FLOATS: Final = 16


class Meter(SharedBlock):
    """Views into one block of shared memory.

    ints, floats   indexed by the names above
    latencies_s    [N_LATENCIES] of the last notes, from their event's stamp to the loudspeaker
    """

    N_BYTES = 8 * (_N_INTS + _N_FLOATS + N_LATENCIES)

    def __init__(self, memory: SharedMemory, *, is_owner: bool) -> None:
        super().__init__(memory, is_owner=is_owner)
        self.ints: NDArray[np.int64] = self._take(_N_INTS, np.int64)
        self.floats: NDArray[np.float64] = self._take(_N_FLOATS, np.float64)
        self.latencies_s: NDArray[np.float64] = self._take(N_LATENCIES, np.float64)

    @classmethod
    def create(cls) -> Self:
        """New; the creator's close() deletes it."""
        created = super().create()
        created.floats[GAIN] = created.floats[LIMITER_GAIN] = 1.0
        created.ints[MAX_VOICES] = UNLIMITED_VOICES
        return created

    def _let_go(self) -> None:
        """The last figures stay readable."""
        self.ints, self.floats, self.latencies_s = self.ints.copy(), self.floats.copy(), self.latencies_s.copy()

    def note_latency(self, latency_s: float) -> None:
        """Performer. A note has been heard so long after its event."""
        told = int(self.ints[N_LATENCIES_TOLD])
        self.latencies_s[told % N_LATENCIES] = latency_s
        self.ints[N_LATENCIES_TOLD] = told + 1


@dataclass(frozen=True, slots=True)
class LiveMeter:
    """How playing goes, for a screen or a program. Milliseconds, decibels re full scale; loads in cores.

    state                    of the engine: "off", "starting", "playing", "no sampler", "no performer" (it is being
                             started again)
    latency_*_ms             MIDI-to-sound of the last notes (at most 1024), device latency included; NaN: none yet
    engine_latency_ms        of these, what the engine adds by construction
    under_runs, zero_frames  blocks of the live stream that came too late for the callback, and frames lost by it
    device_under_runs        blocks the device did not get in time, whoever was late
    block_frames             of the device
    n_steps                  jumps a block of latents is drawn in: quality yields before sound breaks
    max_voices               what the sampler can keep up with, None = no limit was needed
    cache_*                  onsets made ahead, wanted, and their bytes; notes that found theirs, notes that waited
    limiter_db               what the limiter takes off now, <= 0; limited_blocks counts where it did
    draw_ms, frames_ms, block_ms   a draw of latents, a pass of the decoder's network, the performer's slowest block
    device_latency_ms        what the driver says it adds; NaN: it does not say
    callback_ms              the slowest callback of the last seconds; NaN: there was none
    preset_*                 of the onsets made ahead and wanted, those of the preset that the next note sings
    cache_limit_bytes        what onsets made ahead may take; 0: not known yet
    heard_notes              notes whose first sample has been played
    stolen_unheard           of lost_notes, those that made room for others
    latents_bytes            latents of onsets, kept by content within a budget of their own
    sound                    "playing"; else nothing is heard: "no device" (it is looked for), "no server" (it is being
                             started again), "gone" (it could not be)
    """

    state: str
    latency_p50_ms: float
    latency_p95_ms: float
    latency_p99_ms: float
    engine_latency_ms: float
    under_runs: int
    zero_frames: int
    device_under_runs: int
    block_frames: int
    voices: int
    max_voices: int | None
    notes: int
    lost_notes: int
    stolen_voices: int
    n_steps: int
    draw_ms: float
    frames_ms: float
    block_ms: float
    sampler_load: float
    performer_load: float
    late_frames: int
    redrawn: int
    cache_made: int
    cache_wanted: int
    cache_bytes: int
    cache_hits: int
    cache_misses: int
    peak_db: float
    limiter_db: float
    limited_blocks: int
    tempo_bpm: float
    events: int
    device_latency_ms: float = float("nan")
    callback_ms: float = float("nan")
    preset_made: int = 0
    preset_wanted: int = 0
    cache_limit_bytes: int = 0
    heard_notes: int = 0
    stolen_unheard: int = 0
    latents_bytes: int = 0
    sound: str = "playing"

    @property
    def condition(self) -> str:
        """The one word that is true: that of an engine which is there, but cannot be heard, is its sound's."""
        return self.state if self.sound == "playing" or self.state in ("off", "starting") else self.sound


def percentiles_ms(meter: Meter) -> tuple[float, float, float]:
    """p50, p95, p99 of the latencies told so far; NaN where none was."""
    told = min(int(meter.ints[N_LATENCIES_TOLD]), N_LATENCIES)
    if told == 0:
        return float("nan"), float("nan"), float("nan")
    p50, p95, p99 = 1000.0 * np.percentile(meter.latencies_s[:told], (50.0, 95.0, 99.0))
    return float(p50), float(p95), float(p99)
