"""One voice's cells, from the cache or made anew."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Protocol

from app.render.cache import CellCache
from app.render.controls import EngineStamp, VoiceControls, audio_key, window_key
from app.render.grid import assemble_latents, windows_for_cell
from synth.errors import Cancelled
from synth.spec import ControlFrames, Float32Array

# How often somebody who waits for a thread asks whether the work is still wanted.
_PATIENCE_S = 0.02

ShouldStop = Callable[[], bool]
Sampling = Future[tuple[list[Float32Array], float]]


def never() -> bool:
    """A `should_stop` for work that nobody calls off."""
    return False


class EngineLike(Protocol):
    """What rendering needs of synth.engine.Engine.

    device_name   may change: a GPU whose memory is full is left
    on_trouble    told (message, remedy) when that happens
    threads       on which sample_cells may be called beside the caller, several at once; None: one call at a time
    cells_at_once how many windows one call of sample_cells had best be given
    """

    weights_hash: str
    device_name: str

    @property
    def on_trouble(self) -> Callable[[str, str], None]: ...

    @on_trouble.setter
    def on_trouble(self, told: Callable[[str, str], None], /) -> None: ...

    @property
    def threads(self) -> ThreadPoolExecutor | None: ...

    @property
    def cells_at_once(self) -> int: ...

    def sample_cells(
        self,
        windows: Sequence[ControlFrames],
        *,
        seed: int,
        cell_indices: Sequence[int],
        quality: str,
        should_stop: ShouldStop,
    ) -> list[Float32Array]: ...

    def decode_cell(
        self, latents: Float32Array, pitch_note: Float32Array, *, seed: int, cell_index: int, pitch_drift: float
    ) -> Float32Array: ...


@dataclass(slots=True)
class Tally:
    """Counters and seconds of a running render, over all its voices and threads."""

    kept: int = 0
    from_cache: int = 0
    decoded: int = 0
    sampled: int = 0
    plan_s: float = 0.0
    sample_s: float = 0.0
    decode_s: float = 0.0
    work_s: float = 0.0  # all of it: waiting in a queue is not rendering
    first_s: float = 0.0


class VoiceCells:
    """The cells of one voice of a passage of `n_cells`, at one quality."""

    def __init__(
        self,
        engine: EngineLike,
        cache: CellCache,
        controls: VoiceControls,
        *,
        seed: int,
        quality: str,
        n_cells: int,
        tally: Tally,
    ) -> None:
        self._engine = engine
        self._cache = cache
        self._controls = controls
        self._seed = seed
        self._quality = quality
        self._n_cells = n_cells
        self._tally = tally
        self._stamp = EngineStamp(engine.weights_hash, engine.device_name, quality)
        self._window_keys: dict[int, bytes] = {}
        self._audio_keys: dict[int, bytes] = {}
        self._ahead: dict[bytes, tuple[Sampling, int]] = {}
        self._waiting: list[int] = []  # windows that are sampled ahead once there are enough of them
        self._begun: set[int] = set()
        self._called_off = threading.Event()

    def key(self, cell: int) -> bytes:
        """Name of the cell's samples: equal names, equal samples."""
        found = self._audio_keys.get(cell)
        if found is None:
            neighbours = [self._window_key(index) for index in windows_for_cell(cell, self._n_cells)]
            found = audio_key(neighbours, self._controls, seed=self._seed, cell=cell)
            self._audio_keys[cell] = found
        return found

    def begin(self, cell: int, *, is_urgent: bool = True) -> None:
        """Let the engine's threads begin with what `audio(cell)` will need; without threads, do nothing.

        Windows of cells that are not urgent wait until there are as many as the engine had best be given at once, or
        for `begin_rest`.
        """
        threads = self._engine.threads
        if threads is None:
            return
        if cell not in self._begun:
            self._begun.add(cell)
            if self._cache.get(self.key(cell)) is None:
                self._waiting += [index for index in windows_for_cell(cell, self._n_cells) if self._is_wanted(index)]
        if is_urgent:
            self._submit_apart(threads, windows_for_cell(cell, self._n_cells))
        at_once = self._engine.cells_at_once
        while len(self._waiting) >= at_once:
            self._submit(threads, self._waiting[:at_once])

    def begin_rest(self) -> None:
        """No more cells will come: let the threads begin with what still waits for company."""
        if self._engine.threads is not None:
            self._submit_apart(self._engine.threads, self._waiting)

    def _submit_apart(self, threads: ThreadPoolExecutor, cells: Sequence[int]) -> None:
        """One by one, so that as many threads as there are make them beside each other."""
        for cell in [cell for cell in cells if cell in self._waiting]:
            self._submit(threads, [cell])

    def _is_wanted(self, index: int) -> bool:
        key = self._window_key(index)
        return index not in self._waiting and key not in self._ahead and self._cache.get(key) is None

    def _submit(self, threads: ThreadPoolExecutor, cells: Sequence[int]) -> None:
        self._waiting = [cell for cell in self._waiting if cell not in cells]
        windows = [self._controls.window(cell) for cell in cells]
        begun = threads.submit(self._sample, cells, windows, self._called_off.is_set)
        for place, cell in enumerate(cells):
            self._ahead[self._window_key(cell)] = begun, place

    def call_off(self) -> None:
        """Let go of whatever threads have begun and nobody has asked for yet; `begin` may be called again."""
        self._called_off.set()
        for begun, _ in self._ahead.values():
            begun.cancel()
        self._ahead.clear()
        self._begun.clear()
        self._waiting.clear()
        self._called_off = threading.Event()

    def audio(self, cell: int, should_stop: ShouldStop = never) -> Float32Array:
        """The cell's samples, before gain and pan -> [38400]. Raises Cancelled between sampler steps."""
        audio = self._cache.get(self.key(cell))
        if audio is not None:
            self._tally.from_cache += 1
            return audio
        windows = {index: self._latents(index, should_stop) for index in windows_for_cell(cell, self._n_cells)}
        started_s = time.perf_counter()
        audio = self._engine.decode_cell(
            assemble_latents(windows, cell),
            self._controls.pitch_note(cell),
            seed=self._seed,
            cell_index=cell,
            pitch_drift=self._controls.pitch_drift,
        )
        self._tally.decode_s += time.perf_counter() - started_s
        self._tally.decoded += 1
        self._keep(self.key(cell), audio)
        return audio

    def _window_key(self, cell: int) -> bytes:
        found = self._window_keys.get(cell)
        if found is None:
            found = window_key(self._stamp, self._controls.window(cell), seed=self._seed, cell=cell)
            self._window_keys[cell] = found
        return found

    def _latents(self, cell: int, should_stop: ShouldStop) -> Float32Array:
        """Latents of one window -> [latent_dim, 112]."""
        key = self._window_key(cell)
        latents = self._cache.get(key)
        if latents is not None:
            return latents
        begun = self._ahead.pop(key, None)
        if begun is None:
            if cell in self._waiting:
                self._waiting.remove(cell)
            (latents,), sample_s = self._sample([cell], [self._controls.window(cell)], should_stop)
        else:
            sampling, place = begun
            drawn, total_s = _result(sampling, should_stop)
            latents, sample_s = drawn[place], total_s / len(drawn)
        self._tally.sample_s += sample_s
        self._tally.sampled += 1
        self._keep(key, latents)
        return latents

    def _keep(self, key: bytes, array: Float32Array) -> None:
        # An engine may have left its GPU meanwhile: what another device made has another name.
        if self._engine.device_name == self._stamp.device:
            self._cache.put(key, array)

    def _sample(
        self, cells: Sequence[int], windows: Sequence[ControlFrames], should_stop: ShouldStop
    ) -> tuple[list[Float32Array], float]:
        """Latents of windows and the seconds they took; touches nothing that changes, so threads may call it."""
        started_s = time.perf_counter()
        drawn = self._engine.sample_cells(
            windows,
            seed=self._seed,
            cell_indices=cells,
            quality=self._quality,
            should_stop=should_stop,
        )
        return drawn, time.perf_counter() - started_s


def _result(begun: Sampling, should_stop: ShouldStop) -> tuple[list[Float32Array], float]:
    """Wait for a thread, asking meanwhile whether the work is still wanted. Raises Cancelled."""
    while not wait([begun], timeout=_PATIENCE_S).done:
        if should_stop():
            begun.cancel()
            raise Cancelled
    return begun.result()
