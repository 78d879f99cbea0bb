"""Which device periods hold here: silence is played at each for a moment, in a process that a driver may hang."""

from __future__ import annotations

import multiprocessing
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from multiprocessing.connection import Connection
from typing import Final

PERIODS_FRAMES: Final = (64, 128, 256, 512, 1024)
LISTEN_S: Final = 0.6
LIMIT_S: Final = 20.0
_SETTLE_BLOCKS: Final = 4  # a device's first blocks come as they like


@dataclass(frozen=True, slots=True)
class PeriodTrial:
    """How the default output did at one period.

    under_runs      blocks the device says it did not get in time
    longest_gap_ms  between two callbacks, the first few left out
    latency_ms      what the driver says lies between callback and loudspeaker
    refusal         why it could not be opened; empty where it could
    """

    n_frames: int
    rate_hz: float = 0.0
    n_blocks: int = 0
    under_runs: int = 0
    longest_gap_ms: float = 0.0
    latency_ms: float = 0.0
    refusal: str = ""

    @property
    def period_ms(self) -> float:
        return 1e3 * self.n_frames / self.rate_hz if self.rate_hz else 0.0

    @property
    def holds(self) -> bool:
        """No block was late, and no gap was longer than what lies between callback and loudspeaker."""
        is_steady = self.longest_gap_ms <= max(self.latency_ms, self.period_ms) + self.period_ms
        return not self.refusal and self.n_blocks > 0 and self.under_runs == 0 and is_steady


def try_periods(periods: Sequence[int] = PERIODS_FRAMES, *, limit_s: float = LIMIT_S) -> list[PeriodTrial]:
    """One trial a period, as far as the driver got within the limit. Never raises; empty without a sound card."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_try_all, args=(theirs, tuple(periods)), name="stridor-periods", daemon=True)
    process.start()
    theirs.close()
    found: list[PeriodTrial] = []
    deadline_s = time.monotonic() + limit_s
    try:
        while len(found) < len(periods) and ours.poll(max(deadline_s - time.monotonic(), 0.0)):
            found.append(ours.recv())
    except EOFError:
        pass  # no sound card, or the driver has crashed: what came before counts
    finally:
        ours.close()
        process.kill()
        process.join()
        process.close()
    return found


def _try_all(connection: Connection, periods: tuple[int, ...]) -> None:
    """The child's work."""
    try:
        for n_frames in periods:
            connection.send(_try_one(n_frames))
    finally:
        connection.close()
        os._exit(0)  # PortAudio's own tear-down may hang


def _try_one(n_frames: int) -> PeriodTrial:
    import sounddevice as sd  # loads PortAudio and its drivers: in the child only

    from app.audio.devices import find_outputs, stream_rate_hz

    outputs = find_outputs()
    if not outputs:
        raise OSError("no sound card")
    device = outputs[0]
    rate_hz = stream_rate_hz(device)
    at_s: list[float] = []
    late = [0]

    def play(out: memoryview, _n_frames: int, _time: object, status: sd.CallbackFlags) -> None:
        at_s.append(time.monotonic())
        late[0] += bool(status.output_underflow) and len(at_s) > _SETTLE_BLOCKS
        out[:] = bytes(len(out))

    try:
        with sd.RawOutputStream(
            samplerate=rate_hz, blocksize=n_frames, device=device.index, channels=min(device.info.n_channels, 2),
            dtype="float32", latency="low", callback=play,
        ) as stream:  # fmt: skip
            time.sleep(LISTEN_S)
            latency_ms = 1e3 * float(stream.latency)  # pyright: ignore[reportArgumentType] - a pair only for duplex
    except sd.PortAudioError as fault:
        return PeriodTrial(n_frames, refusal=str(fault))
    steady_s = at_s[_SETTLE_BLOCKS:]
    gaps_s = [after - before for before, after in pairwise(steady_s)]
    return PeriodTrial(n_frames, rate_hz, len(at_s), late[0], 1e3 * max(gaps_s, default=0.0), latency_ms)
