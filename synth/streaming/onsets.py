"""Onsets drawn ahead, so that a note's first block need not wait for the sampler.

An onset is found by its content: its key is a hash of everything that decides how it sounds, so nothing ever goes
stale. What changed simply asks for another key, and what is no longer asked for is forgotten after the rest.

Pure logic: no files, no threads, one caller at a time. What does not fit in memory goes to a `Spill`, which the
application keeps where it likes (app.render.cache.CellCache is one).
"""

from __future__ import annotations

import hashlib
import json
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from synth.diffusion.conditioning import CONDITION_DIM
from synth.streaming.decoder import DecoderState, StreamingDecoder
from synth.streaming.sampler import BlockRequest, StreamingSampler

Float32Array = NDArray[np.float32]

FORMAT_REVISION = 1  # of keys and of what is spilled
MEMORY_BUDGET_BYTES = 128 * 2**20
ONSET_FRAMES = 32
REGION_SEMITONES = 3
VELOCITY_LAYERS = (32, 64, 96, 120)
_KEY_BYTES = 20
_START_CYCLE = 0.98  # a note's first pulse need not wait for a period
_A4_NOTE, _A4_HZ = 69.0, 440.0


@dataclass(frozen=True, slots=True)
class OnsetRecipe:
    """Everything that decides how an onset sounds, and nothing else: a preset's name or release is not in it.

    weights_hash   of codec and denoiser (Engine.weights_hash)
    n_steps        the sampler's jumps
    lanes          lane id -> value the note begins with; presence ramps with `attack_s`
    technique      technique -> weight
    timbre         [TIMBRE_DIM] or None
    pitch_drift    0..1
    note           middle of the pitch region the latents are drawn for (`region_of`)
    velocity       of the layer (`layer_of`)
    variation      0, 1, ...: otherwise equal onsets that differ as two strokes of one singer do
    n_frames       how long the onset is
    """

    weights_hash: str
    n_steps: int
    lanes: Mapping[str, float]
    technique: Mapping[str, float]
    timbre: tuple[float, ...] | None
    pitch_drift: float
    attack_s: float
    note: float
    velocity: int
    variation: int = 0
    n_frames: int = ONSET_FRAMES

    @property
    def key(self) -> bytes:
        """Hash of all of it -> 20 bytes; the order in which lanes are named does not matter."""
        return _digest(asdict(self))

    @property
    def seed(self) -> int:
        """Of the note that begins so: the variation's own, whatever the weights and the steps."""
        chosen = asdict(replace(self, weights_hash="", n_steps=0))
        return int.from_bytes(_digest(chosen)[:7], "little")


def _digest(values: Mapping[str, object]) -> bytes:
    text = json.dumps([FORMAT_REVISION, values], sort_keys=True, allow_nan=False, default=dict)
    return hashlib.blake2b(text.encode(), digest_size=_KEY_BYTES).digest()


def region_of(note: float) -> float:
    """The middle of the region of REGION_SEMITONES semitones that `note` lies in; each has latents of its own."""
    return float(np.floor(note / REGION_SEMITONES) * REGION_SEMITONES + (REGION_SEMITONES - 1) / 2)


def layer_of(velocity: int) -> int:
    """The layer, of VELOCITY_LAYERS, nearest to `velocity`."""
    return min(VELOCITY_LAYERS, key=lambda layer: abs(layer - velocity))


@dataclass(frozen=True, slots=True)
class Onset:
    """Drawn frames: latents [n_frames, latent_dim] in the codec's units and the conditions [n_frames, CONDITION_DIM]
    they obey, which is what the sampler needs to go on from them."""

    latents: Float32Array
    condition: Float32Array

    @property
    def n_bytes(self) -> int:
        """Memory it keeps."""
        return self.latents.nbytes + self.condition.nbytes


@dataclass(frozen=True, slots=True)
class OnsetSound:
    """An onset at one exact key: its first samples, and the decoder's state after them.

    Without samples the state is that of a voice about to begin, its first filters made: it sounds in the block it is
    put in, at any pitch. With samples they cost nothing, but their pitch is the key's.
    """

    audio: Float32Array
    state: DecoderState

    @property
    def n_bytes(self) -> int:
        """Memory it keeps."""
        return self.audio.nbytes + self.state.n_bytes


class Spill(Protocol):
    """Where onsets go that memory has no room for. Keys are content: equal keys hold equal arrays."""

    def get(self, key: bytes, /) -> Float32Array | None:
        """What was put under `key`, or None."""
        ...

    def put(self, key: bytes, array: Float32Array, /) -> None:
        """Keep a copy."""
        ...


@dataclass(slots=True)
class OnsetCache:
    """Onsets and their sounds within one byte budget, the least recently used forgotten first.

    Every onset goes to `spill` as well, when there is one; sounds do not: the decoder makes them again in milliseconds.
    hits, misses   of onsets asked for by `find`
    """

    budget_bytes: int = MEMORY_BUDGET_BYTES
    spill: Spill | None = None
    hits: int = field(default=0, init=False)
    misses: int = field(default=0, init=False)
    used_bytes: int = field(default=0, init=False)
    _entries: OrderedDict[bytes, Onset | OnsetSound] = field(default_factory=OrderedDict, init=False)

    def find(self, recipe: OnsetRecipe) -> Onset | None:
        """The onset of `recipe`, from memory or from the spill."""
        found = self._look(recipe)
        if found is None:
            self.misses += 1
        else:
            self.hits += 1
        return found

    def missing(self, recipes: Iterable[OnsetRecipe]) -> list[OnsetRecipe]:
        """Those that would have to be drawn, in their order; for sampling ahead and its progress."""
        return [recipe for recipe in recipes if self._look(recipe) is None]

    def put(self, recipe: OnsetRecipe, onset: Onset) -> None:
        """Keep `onset`, as it is: it must not be changed afterwards."""
        if len(onset.latents) != len(onset.condition) or onset.condition.shape[1] != CONDITION_DIM:
            raise ValueError(f"latents {onset.latents.shape} and conditions {onset.condition.shape} do not fit")
        self._keep(recipe.key, onset)
        if self.spill is not None:
            self.spill.put(recipe.key, np.concatenate([onset.condition, onset.latents], axis=1))

    def find_sound(self, recipe: OnsetRecipe, note: float) -> OnsetSound | None:
        """The onset's sound at exactly `note`, from memory."""
        found = self._entries.get(_sound_key(recipe, note))
        if not isinstance(found, OnsetSound):
            return None
        self._entries.move_to_end(_sound_key(recipe, note))
        return found

    def put_sound(self, recipe: OnsetRecipe, note: float, sound: OnsetSound) -> None:
        """Keep `sound`, as it is."""
        self._keep(_sound_key(recipe, note), sound)

    def clear(self) -> None:
        """Forget what memory holds."""
        self._entries.clear()
        self.used_bytes = 0

    def _look(self, recipe: OnsetRecipe) -> Onset | None:
        found = self._entries.get(recipe.key)
        if isinstance(found, Onset):
            self._entries.move_to_end(recipe.key)
            return found
        kept = self.spill.get(recipe.key) if self.spill is not None else None
        # A damaged or foreign array is as good as none.
        if kept is None or kept.ndim != 2 or kept.shape[1] <= CONDITION_DIM or len(kept) != recipe.n_frames:
            return None
        onset = Onset(np.ascontiguousarray(kept[:, CONDITION_DIM:]), np.ascontiguousarray(kept[:, :CONDITION_DIM]))
        self._keep(recipe.key, onset)
        return onset

    def _keep(self, key: bytes, entry: Onset | OnsetSound) -> None:
        old = self._entries.pop(key, None)
        self.used_bytes += entry.n_bytes - (old.n_bytes if old is not None else 0)
        self._entries[key] = entry
        while self.used_bytes > self.budget_bytes and self._entries:
            _, dropped = self._entries.popitem(last=False)
            self.used_bytes -= dropped.n_bytes


def _sound_key(recipe: OnsetRecipe, note: float) -> bytes:
    return recipe.key + repr(float(note)).encode()


class Variations:
    """Which variation the next note gets: round and round for every key, so that no two strokes in a row are equal.

    locked   always this one; None: go round
    """

    def __init__(self, n_variations: int, *, locked: int | None = None) -> None:
        if n_variations < 1:
            raise ValueError(f"a note needs at least one variation, not {n_variations}")
        self.n_variations, self.locked = n_variations, locked
        self._next: dict[int, int] = {}

    def take(self, note: float) -> int:
        """The variation for a note that begins now."""
        if self.locked is not None:
            return self.locked % self.n_variations
        key = round(note)
        chosen = self._next.get(key, 0) % self.n_variations
        self._next[key] = chosen + 1
        return chosen


def draw_onset(sampler: StreamingSampler, voice: int, recipe: OnsetRecipe, condition: Float32Array) -> Onset:
    """Sample the onset of `recipe` on `voice`, which is thereby used up; `condition` [n_frames, CONDITION_DIM]."""
    sampler.begin(voice, recipe.seed)
    return Onset(sampler.draw([BlockRequest(voice, condition)], recipe.n_steps)[0], condition)


def sound_onset(
    decoder: StreamingDecoder, voice: int, recipe: OnsetRecipe, onset: Onset, note: float, n_samples: int = 0
) -> OnsetSound:
    """Decode the first `n_samples` of an onset at `note` on `voice`, which is stopped thereby.

    Of a decoder of its own: the voices of a decoder that plays would play on meanwhile.
    """
    hz = _A4_HZ * 2.0 ** ((note - _A4_NOTE) / 12.0)
    _begin(decoder, voice, recipe, onset, hz)
    decoder.prepare()
    out = np.empty((decoder.n_voices, n_samples + decoder.look_ahead_samples if n_samples else 0), dtype=np.float32)
    decoder.process(np.full(out.shape, hz), out)
    audio = out[voice, decoder.look_ahead_samples :].copy()
    state = decoder.save(voice)
    decoder.active[voice] = False
    return OnsetSound(audio, state)


def start_note(
    decoder: StreamingDecoder,
    sampler: StreamingSampler,
    voice: int,
    recipe: OnsetRecipe,
    onset: Onset,
    *,
    sound: OnsetSound | None = None,
    hz: float,
    delay_samples: int = 0,
) -> None:
    """Let `voice` begin with `onset`, `delay_samples` into the next block, and go on from it.

    sound   made for this onset; its samples, if it has any, are played by the caller, and the voice goes on
            after them: `delay_samples` then counts from the note's first sample, which they start at
    hz      the note's pitch, where there is no sound
    """
    sampler.adopt(voice, recipe.seed, onset.latents, onset.condition)
    if sound is None:
        _begin(decoder, voice, recipe, onset, hz, delay_samples=delay_samples)
    else:
        decoder.restore(voice, sound.state, delay_samples=delay_samples + len(sound.audio))


def _begin(
    decoder: StreamingDecoder, voice: int, recipe: OnsetRecipe, onset: Onset, hz: float, *, delay_samples: int = 0
) -> None:
    drift = recipe.pitch_drift
    decoder.begin(
        voice, recipe.seed, f0_hz=hz, delay_samples=delay_samples, pitch_drift=drift, start_cycle=_START_CYCLE
    )
    decoder.push(voice, onset.latents)
