"""Onsets made ahead, while there is time: drawn once by content, and their first frames kept where the performer is.

What is wanted is told by the performer (groups); the nearest to what is played comes first, and what no longer fits
into the memory is forgotten from the other end. Latents are kept by content (synth.streaming.onsets.OnsetCache), on
disk as well, so that what has been drawn once is only decoded at the next start.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np

from app.live.stage import meter as fields
from app.live.stage.adapters import LiveAdapters
from app.live.stage.conditions import Conditions, rising
from app.live.stage.lanes import LOUDNESS, PITCH, PRESENCE
from app.live.stage.memory import HEAD_FRAMES, N_GROUPS, N_SLOTS, StageMemory
from app.live.stage.meter import Meter
from app.state.preset import DEFAULT_VELOCITY
from synth.diffusion.conditioning import CONDITION_DIM
from synth.engine import Engine, noise_temperature
from synth.spec.controls import Float32Array
from synth.spec.lanes import LANE_IDS, lane
from synth.streaming.frames import Continuation, StreamingFrames
from synth.streaming.onsets import (
    ONSET_FRAMES,
    REGION_SEMITONES,
    VELOCITY_LAYERS,
    Onset,
    OnsetCache,
    OnsetRecipe,
    region_of,
)
from synth.streaming.sampler import BlockRequest, StreamingSampler

AT_ONCE: Final = 4  # onsets drawn in one batch
_MADE_AT_ONCE: Final = 4  # frames of a pass
_MIDDLE_NOTE: Final = 57.0
_LAYER_ORDER: Final = tuple(sorted(VELOCITY_LAYERS, key=lambda layer: abs(layer - DEFAULT_VELOCITY)))
_REPLACED_KEPT: Final = 64  # onsets that voices may just have begun with
_PRESET_RANK: Final = 1  # groups up to it are of what the next note sings
_END: Final = object()
_A4_NOTE: Final = 69.0
_A4_HZ: Final = 440.0

Key = tuple[int, int, float, int, int]  # group, its version, region, layer, variation


@dataclass(frozen=True, slots=True)
class MadeOnset:
    """What the sampler needs to go on from an onset's first frames."""

    onset: Onset
    continuation: Continuation
    seed: int


class OnsetsAhead:
    """Sampler's thread. Draws with the sampler's voices from N_SLOTS on."""

    def __init__(
        self,
        memory: StageMemory,
        meter: Meter,
        engine: Engine,
        sampler: StreamingSampler,
        conditions: Conditions,
        cache: OnsetCache,
        adapters: LiveAdapters,
        *,
        n_steps: int,
        n_variations: int,
    ) -> None:
        self._memory, self._meter, self._sampler, self._conditions = memory, meter, sampler, conditions
        self._weights_hash, self._cache, self._adapters = engine.weights_hash, cache, adapters
        self._n_steps, self._n_variations = n_steps, n_variations
        self._frames = StreamingFrames(engine.codec, 1, are_pulses_causal=True)
        memory.onset_version[:] = 0  # a sampler before this one took with it what is needed to go on
        self._versions = 0
        self._made: dict[Key, int] = {}
        self._kept: dict[tuple[int, int], MadeOnset] = {}  # (entry, version)
        self._replaced: list[tuple[int, int]] = []
        self._free = list(range(memory.n_onsets - 1, -1, -1))
        self._wanted: list[Key] = []
        self._kept_keys: frozenset[Key] = frozenset()
        self._making: Iterator[object] | None = None
        self._seen: tuple[bytes, bytes, int, int] | None = None
        self.middle_note = _MIDDLE_NOTE  # where the player's hands are
        self._recipes: dict[Key, OnsetRecipe] = {}

    def find(self, entry: int, version: int) -> MadeOnset | None:
        """What a voice began with, though it may have been replaced since."""
        return self._kept.get((entry, version))

    def step(self, at_once: int = AT_ONCE) -> bool:
        """Do one piece of the work, a jump of a draw or a pass of the network -> whether there was anything to do."""
        self._look_at_wishes()
        if self._making is None:
            missing = [key for key in self._wanted if key not in self._made][:at_once]
            if not missing:
                return False
            self._making = self._make(missing)
        if next(self._making, _END) is _END:
            self._making = None
        return True

    def _make(self, keys: list[Key]) -> Generator[object, None, None]:
        """Draw what is not kept, and make first frames of all; pauses wherever something else may be more urgent."""
        recipes = {key: self._recipe(key) for key in keys}
        found = {key: self._cache.find(recipe) for key, recipe in recipes.items()}
        to_draw = [key for key, onset in found.items() if onset is None]
        if to_draw:
            found |= yield from self._draw(to_draw, recipes)
        for key in keys:
            onset = found.get(key)
            if onset is not None and key in self._kept_keys:  # meanwhile it may be wanted no more
                yield from self._place(key, recipes[key], onset)
                self._tell()
                yield

    def call_off(self) -> None:
        """Leave what is being made: it will be made another time."""
        self._making = None

    # ---- what is wanted

    def _look_at_wishes(self) -> None:
        memory = self._memory
        middle, loaded = round(self.middle_note / 12.0), self._adapters.version
        seen = (memory.group_version.tobytes(), memory.group_rank.tobytes(), middle, loaded)
        if seen == self._seen:
            return
        self._seen = seen
        wanted = [
            (rank, layer, abs(region - self.middle_note), (group, version, region, velocity, variation))
            for group in range(N_GROUPS)
            if (version := int(memory.group_version[group])) and self._adapters.is_complete(memory.group_lanes[group])
            for rank in (int(memory.group_rank[group]),)
            for layer, velocity in enumerate(_LAYER_ORDER)
            for region in _regions()
            for variation in range(self._n_variations)
        ]
        wanted.sort()
        self._wanted = [key for *_, key in wanted[: memory.n_onsets]]
        kept = self._kept_keys = frozenset(self._wanted)
        for key in [key for key in self._made if key not in kept]:
            self._forget(key)
        self._recipes = {key: recipe for key, recipe in self._recipes.items() if key in kept}
        self._tell()

    def _forget(self, key: Key) -> None:
        entry = self._made.pop(key)
        version = int(self._memory.onset_version[entry])
        self._memory.onset_version[entry] = 0
        self._free.append(entry)
        self._replaced.append((entry, version))
        while len(self._replaced) > _REPLACED_KEPT:
            self._kept.pop(self._replaced.pop(0), None)

    def _recipe(self, key: Key) -> OnsetRecipe:
        known = self._recipes.get(key)
        if known is not None:
            return known
        group, _, region, velocity, variation = key
        memory = self._memory
        lanes = self._lanes(key)
        timbre = memory.group_timbre[group]
        recipe = OnsetRecipe(
            weights_hash=self._weights_hash,
            n_steps=self._n_steps,
            lanes={lane_id: float(lanes[index]) for index, lane_id in enumerate(LANE_IDS)}
            | self._adapters.named(lanes),
            technique={},  # its weights are among the lanes
            timbre=tuple(map(float, timbre)) if np.isfinite(timbre).all() else None,
            pitch_drift=float(memory.group_drift[group]),
            attack_s=float(memory.group_attack_s[group]),
            note=region,
            velocity=velocity,
            variation=variation,
        )
        self._recipes[key] = recipe
        return recipe

    def _lanes(self, key: Key) -> Float32Array:
        group, _, region, velocity, _ = key
        lanes = self._memory.group_lanes[group].copy()
        louder_db = float(self._memory.group_velocity_db[group]) * (velocity - DEFAULT_VELOCITY) / 127.0
        lanes[LOUDNESS] = lane("loudness").clamp(float(lanes[LOUDNESS]) + louder_db)
        lanes[PITCH], lanes[PRESENCE] = lane("pitch").clamp(region), 1.0
        return lanes

    # ---- making

    def _draw(
        self, keys: list[Key], recipes: dict[Key, OnsetRecipe]
    ) -> Generator[object, None, dict[Key, Onset | None]]:
        memory, requests = self._memory, []
        for index, key in enumerate(keys):
            group = key[0]
            attack_s = float(memory.group_attack_s[group])
            condition = self._conditions.onset(self._lanes(key), memory.group_timbre[group], attack_s, ONSET_FRAMES)
            self._sampler.begin(N_SLOTS + index, recipes[key].seed)
            temperature = noise_temperature(rising(attack_s, ONSET_FRAMES))
            requests.append(BlockRequest(N_SLOTS + index, condition, temperature))
        blocks = yield from self._sampler.drawing(requests, self._n_steps)
        drawn: dict[Key, Onset | None] = {}
        for key, request, latents in zip(keys, requests, blocks, strict=True):
            if latents is not None:
                made = drawn[key] = Onset(latents, request.condition[:, :CONDITION_DIM])
                self._cache.put(recipes[key], made)
        return drawn

    def _place(self, key: Key, recipe: OnsetRecipe, onset: Onset) -> Iterator[object]:
        """Make the onset's first frames and put them where the performer finds them."""
        frames, memory = self._frames, self._memory
        frames.begin(0, recipe.seed, recipe.pitch_drift)
        frames.push(0, onset.latents, None)
        frames.latest_hz[0] = _A4_HZ * 2.0 ** ((recipe.note - _A4_NOTE) / 12.0)
        first = np.zeros(1, dtype=np.int64)
        for n_frames in range(_MADE_AT_ONCE, HEAD_FRAMES + 1, _MADE_AT_ONCE):
            frames.prepare(first, np.full(1, n_frames), _MADE_AT_ONCE)
            if n_frames < HEAD_FRAMES:
                yield
        if key not in self._kept_keys:
            return
        entry = self._free.pop()
        memory.onset_version[entry] = 0
        heads, n_kept = memory.heads, memory.heads.ring_frames
        for kept, ring in zip(heads.rings, frames.rings, strict=True):
            kept[entry] = ring[0, :n_kept]
        heads.seeds[entry], heads.drifts[entry] = recipe.seed, recipe.pitch_drift
        heads.ready[entry], heads.fed[entry] = HEAD_FRAMES, HEAD_FRAMES + frames.look_ahead
        memory.onset_group[entry], _, memory.onset_region[entry], layer, variation = key
        memory.onset_layer[entry], memory.onset_variation[entry] = layer, variation
        self._versions += 1
        self._kept[entry, self._versions] = MadeOnset(onset, frames.continuation(0), recipe.seed)
        self._made[key] = entry
        memory.onset_version[entry] = self._versions

    def _tell(self) -> None:
        ints = self._meter.ints
        ints[fields.CACHE_WANTED], ints[fields.CACHE_MADE] = len(self._wanted), len(self._made)
        ints[fields.CACHE_BYTES] = len(self._made) * self._memory.heads.n_bytes // self._memory.n_onsets
        ints[fields.CACHE_LIMIT_BYTES] = self._memory.heads.n_bytes
        ints[fields.LATENTS_BYTES] = self._cache.used_bytes
        ranks = self._memory.group_rank
        of_preset = [key for key in self._wanted if ranks[key[0]] <= _PRESET_RANK]
        ints[fields.PRESET_WANTED] = len(of_preset)
        ints[fields.PRESET_MADE] = sum(key in self._made for key in of_preset)


def _regions() -> list[float]:
    pitch = lane("pitch")
    first, last = region_of(pitch.minimum), region_of(pitch.maximum)
    return [first + REGION_SEMITONES * index for index in range(round((last - first) / REGION_SEMITONES) + 1)]
