"""Adapters of the live sampler: loaded beside what sounds, worked into networks of their own where they stand still.

A thread that yields to everything else reads files, puts adapters into the base, and packs networks for strengths that
do not move; the sampler's thread only swaps what is ready, between two pieces of its work. While a strength moves, the
adapted network sings, whose strengths are a part of the condition: that costs more, but nothing is built.
"""

from __future__ import annotations

import contextlib
import logging
import os
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import Final

import numpy as np
from numpy.typing import NDArray

from app.live.stage.adapter_columns import named_id
from app.live.stage.memory import N_LANES, StageMemory
from app.state.preset_parts import REGIONS
from synth.adapters.mixing import AdaptedDenoiser, merged_denoiser
from synth.adapters.rack import AdapterRack
from synth.diffusion.packed import packed_denoiser
from synth.diffusion.sampler import Network
from synth.diffusion.unet import Denoiser
from synth.errors import UserError
from synth.spec.controls import Float32Array
from synth.streaming.sampler import StreamingSampler

_log = logging.getLogger(__name__)

_PACKED_KEPT: Final = 3  # networks with adapters worked in, each as large as the base
_NICENESS: Final = 5
_N_REGIONS: Final = len(REGIONS)

Strengths = tuple[float, ...]
Tell = Callable[[str, str], None]


@dataclass(frozen=True, slots=True)
class _Wish:
    """Have these adapters, and no others: ids as stored in shared memory, and the wishes' numbers."""

    stored: tuple[int, ...]
    asked: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class _Loaded:
    """What became of a wish: faults are those of the places that could not be fulfilled."""

    wish: _Wish
    adapted: AdaptedDenoiser | None
    faults: dict[int, UserError]


@dataclass(frozen=True, slots=True)
class _Packed:
    adapted: AdaptedDenoiser
    strengths: Strengths
    network: Network


class LiveAdapters:
    """Methods belong to the sampler's thread.

    version   grows when other adapters can be sung with
    """

    def __init__(self, memory: StageMemory, rack: AdapterRack, base: Denoiser, tell: Tell) -> None:
        """
        rack   knows where adapters lie; it is the thread's from here on
        tell   is told (message, remedy) of adapters that cannot be had
        """
        self._memory, self._rack, self._base, self._tell = memory, rack, base, tell
        memory.adapter_loaded[:] = memory.adapter_failed[:] = 0
        self._n_places = len(memory.adapter_id)
        self._asked: _Wish | None = None
        self._adapted: AdaptedDenoiser | None = None
        self._stored = np.zeros(self._n_places, dtype=np.int64)  # whose strengths each place of a row is taken for
        self._places: list[int] = []  # of the adapted network's adapters, in its order
        self._packed: OrderedDict[Strengths, Network] = OrderedDict()
        self._being_packed: Strengths | None = None
        self._ready: _Loaded | None = None
        self._given_up: dict[int, int] = {}  # place -> the wish that could not be fulfilled there
        self._jobs: SimpleQueue[Callable[[], _Loaded | _Packed | None] | None] = SimpleQueue()
        self._done: SimpleQueue[_Loaded | _Packed | UserError] = SimpleQueue()
        self.version = 0
        rack.on_trouble = lambda message, remedy: self._done.put(UserError(message, remedy=remedy))
        self._thread = threading.Thread(target=self._work, name="adapters", daemon=True)

    def close(self) -> None:
        """End the thread."""
        self._jobs.put(None)
        if self._thread.ident is not None:
            self._thread.join()

    # ---- between two pieces of work

    def look(self) -> bool:
        """Take note of wishes and of what has been done -> whether `swap` is worth calling."""
        memory = self._memory
        asked = tuple(map(int, memory.adapter_asked))
        if any(asked) and (self._asked is None or asked != self._asked.asked):
            ids = map(int, memory.adapter_id)
            hopeless = [self._given_up.get(place) == number for place, number in enumerate(asked)]
            wish = _Wish(tuple(0 if gone else stored for stored, gone in zip(ids, hopeless, strict=True)), asked)
            self._asked = wish
            self._do(lambda: self._load(wish))
        with contextlib.suppress(Empty):
            while True:
                self._take(self._done.get_nowait())
        return self._ready is not None

    def swap(self, sampler: StreamingSampler) -> None:
        """Sing with what has been loaded; nobody may be in the middle of a draw."""
        loaded, self._ready = self._ready, None
        if loaded is None:
            return
        memory, adapted = self._memory, loaded.adapted
        if adapted is not self._adapted:
            self._adapted = adapted
            self._packed.clear()
            self._being_packed = None
            sampler.network_at = self.network_at
            sampler.adapt(adapted)
        stored = {named_id(number): place for place, number in enumerate(loaded.wish.stored) if number}
        self._places = [stored[adapter.id] for adapter in adapted.adapters] if adapted is not None else []
        self._stored[:] = 0
        self._stored[self._places] = [loaded.wish.stored[place] for place in self._places]
        self.version += 1
        for place, asked in enumerate(loaded.wish.asked):
            if place in loaded.faults:
                self._tell(loaded.faults[place].message, loaded.faults[place].remedy)
                self._given_up[place] = asked
                memory.adapter_failed[place] = asked
            elif loaded.wish.stored[place]:
                memory.adapter_loaded[place] = asked

    # ---- what rows of lanes ask for

    def told(self, condition: Float32Array, row: Float32Array) -> Float32Array:
        """`condition` [n_frames, CONDITION_DIM] with the strengths of a row of lanes behind, constant over it."""
        if self._adapted is None:
            return condition
        columns = np.broadcast_to(self._strengths(row), (len(condition), self._adapted.n_strengths))
        return np.concatenate([condition, columns], axis=1)

    def is_complete(self, row: Float32Array) -> bool:
        """Whether every adapter that sounds in this row of lanes is there."""
        sounding = row[N_LANES:].reshape(self._n_places, _N_REGIONS).any(axis=1)
        return not (sounding & (self._stored != self._memory.adapter_id)).any()

    def named(self, row: Float32Array) -> dict[str, float]:
        """Lane -> strength of the adapters that sound in this row of lanes; empty for the base alone."""
        found: dict[str, float] = {}
        for place in self._places:
            strengths = row[N_LANES + _N_REGIONS * place : N_LANES + _N_REGIONS * (place + 1)]
            adapter_id = named_id(int(self._stored[place]))
            found |= {f"adapter.{adapter_id}.{name}": float(s) for name, s in zip(REGIONS, strengths, strict=True) if s}
        return found

    def network_at(self, strengths: Strengths) -> Network | None:
        """A network with these strengths worked in, or None: then it is being made, or there is no use in it."""
        network = self._packed.get(strengths)
        if network is not None:
            self._packed.move_to_end(strengths)
        elif self._adapted is not None and self._base.device.type == "cpu" and self._being_packed is None:
            adapted = self._adapted
            self._being_packed = strengths
            self._do(lambda: self._pack(adapted, strengths))
        return network

    def _strengths(self, row: Float32Array) -> NDArray[np.float32]:
        """Of the adapted network's adapters, in its order -> [n_strengths]; places that changed hands are silent."""
        by_place = row[N_LANES:].reshape(self._n_places, _N_REGIONS)[self._places]
        is_theirs = self._stored[self._places] == self._memory.adapter_id[self._places]
        return (by_place * is_theirs[:, None]).ravel()

    def _take(self, done: _Loaded | _Packed | UserError) -> None:
        match done:
            case _Loaded():
                if done.wish is self._asked:  # an older one has been overtaken
                    self._ready = done
            case _Packed(adapted, strengths, network):
                self._being_packed = None
                if adapted is self._adapted:
                    self._packed[strengths] = network
                    while len(self._packed) > _PACKED_KEPT:
                        self._packed.popitem(last=False)
            case UserError():
                self._tell(done.message, done.remedy)

    # ---- the thread

    def _do(self, job: Callable[[], _Loaded | _Packed | None]) -> None:
        self._jobs.put(job)
        if self._thread.ident is None:
            self._thread.start()

    def _work(self) -> None:
        if hasattr(os, "setpriority"):
            with contextlib.suppress(OSError):
                os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICENESS)
        while (job := self._jobs.get()) is not None:
            try:
                done = job()
            except Exception:  # what sings goes on without what was to be done
                _log.exception("work for adapters failed")
                continue
            if done is not None:
                self._done.put(done)

    def _load(self, wish: _Wish) -> _Loaded:
        """Read what is missing, let go of what is not wanted, and put the rest into the base."""
        wanted = {named_id(number): place for place, number in enumerate(wish.stored) if number}
        for adapter in self._rack.adapters:
            if adapter.id not in wanted:
                self._rack.remove(adapter.id)
        faults: dict[int, UserError] = {}
        adapted: AdaptedDenoiser | None = None
        for adapter_id, place in wanted.items():
            try:
                adapted = self._rack.adapted(self._base, {adapter_id})
            except Exception as fault:  # whatever a file may hold: the others are loaded
                _log.info("adapter %s cannot be loaded: %r", adapter_id, fault)
                self._rack.remove(adapter_id)
                told = f"The adapter {adapter_id} cannot be loaded: {fault}"
                faults[place] = fault if isinstance(fault, UserError) else UserError(told, remedy="Install it again.")
        if faults and adapted is not None:
            adapted = self._rack.adapted(self._base) if self._rack.adapters else None
        return _Loaded(wish, adapted, faults)

    def _pack(self, adapted: AdaptedDenoiser, strengths: Strengths) -> _Packed | None:
        merged = merged_denoiser(self._base, adapted.adapters, strengths, self._rack.mapped)
        network = packed_denoiser(merged)
        return None if network is None else _Packed(adapted, strengths, network)
