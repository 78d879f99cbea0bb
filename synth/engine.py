"""The engine: controls in, latents out; latents and pitch in, audio out. It alone owns torch's global state.

No threads, no devices, no files but the weights. Every result is a function of (controls in the window, seed, weights,
absolute position): whoever owns the engine may ask in any order and get the same samples.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from synth.adapters.layout import region_map
from synth.adapters.rack import FACTORY_FOLDER, AdapterRack
from synth.codec.decoding import decode_cell
from synth.codec.model import Codec, CodecConfig
from synth.codec.noise import Stream, normal_frames
from synth.codec.packed_decoder import PackedCodec, packed_codec
from synth.codec.weights import content_hash, load_weights, read_config
from synth.diffusion.conditioning import TimbreScale, condition_array, typical_timbre
from synth.diffusion.packed import PackedDenoiser, draw_together, packed_denoiser
from synth.diffusion.sampler import Network, SamplingPlan, sample_window
from synth.diffusion.solvers import never
from synth.diffusion.unet import Denoiser, DenoiserConfig
from synth.dsp.smoothing import hann_mean
from synth.errors import UserError, is_out_of_memory
from synth.spec.audio import (
    CELL_FRAMES,
    CONTEXT_FRAMES,
    WINDOW_FRAMES,
)
from synth.spec.controls import ControlFrames

log = logging.getLogger(__name__)

Float32Array = NDArray[np.float32]
Result = TypeVar("Result")

DEFAULT_WEIGHTS_DIR = Path(__file__).resolve().parent.parent / "presets" / "models" / "default"
CODEC_FILE = "codec.safetensors"
DENOISER_FILE = "denoiser.safetensors"


class Quality(StrEnum):
    """How much work a cell gets."""

    LIVE = "live"
    DRAFT = "draft"
    FINAL = "final"


# Python itself is in the way of more: a sampling is some thousand short operations.
_MOST_THREADS = 8
_SILENT_TEMPERATURE = 0.3
_FULL_NOISE_PRESENCE = 0.5
_SUNG_PRESENCE = 0.1
_TAIL_FRAMES = 4

# Jumps that the shipped denoiser was distilled to take, with guidance in them (synth.train.distill); what each number
# of them costs and gives is in docs/measurements.md.
PLANS = MappingProxyType(
    {
        Quality.LIVE: SamplingPlan(n_steps=2),
        Quality.DRAFT: SamplingPlan(n_steps=4),
        Quality.FINAL: SamplingPlan(n_steps=8),
    }
)


def load_codec(path: Path) -> Codec:
    """The codec stored at `path`, ready for use on the CPU. UserError when it cannot be read."""
    config = read_config(path, "codec")
    codec = Codec(CodecConfig.from_stored(config["codec"]))
    load_weights(path, codec)
    return codec.eval().requires_grad_(False)


def load_denoiser(path: Path) -> tuple[Denoiser, dict[str, Any]]:
    """The denoiser stored at `path` and its whole configuration. UserError when it cannot be read."""
    config = read_config(path, "denoiser")
    shape = dict(config["denoiser"])
    if "patch" not in shape:
        raise UserError(
            f"{path} is a denoiser of the first kind, which this Stridor cannot play.",
            remedy="Train it again with `stridor train diffusion`, or take the weights that come with Stridor.",
        )
    denoiser = Denoiser(DenoiserConfig.from_dict(shape))
    load_weights(path, denoiser)
    return denoiser.eval().requires_grad_(False), config


def _device(name: str) -> torch.device:
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if name == "cuda" and not torch.cuda.is_available():
        raise UserError("No CUDA device is usable here.", remedy="Use --device cpu, or install a CUDA build of torch.")
    if name not in ("cpu", "cuda"):
        raise UserError(f"There is no device called '{name}'.", remedy="Use auto, cpu or cuda.")
    return torch.device(name)


def noise_temperature(presence: Float32Array) -> Float32Array:
    """Scale of the initial noise at every frame -> like `presence`, _SILENT_TEMPERATURE..1.

    Recordings are silent in two ways, room noise or digital zero, and noise chooses between them. Where nobody sings
    there is nothing to vary: little noise makes the sampler take the middle road, which is silence.
    """
    return np.clip(presence / _FULL_NOISE_PRESENCE, _SILENT_TEMPERATURE, 1.0).astype(np.float32)


def sung_share(presence: Float32Array) -> Float32Array:
    """How much of what was drawn is kept at every frame, the rest being silence -> [n_frames] 0..1.

    Recordings are never as silent as a score: between phrases the model sings the room. Up to _TAIL_FRAMES beside
    a frame where somebody sings all is kept, breath and release, and twice as far nothing is.
    """
    sung = np.clip(np.nan_to_num(presence) / _SUNG_PRESENCE, 0.0, 1.0)
    padded = np.pad(sung, _TAIL_FRAMES, mode="edge")
    grown = np.lib.stride_tricks.sliding_window_view(padded, 2 * _TAIL_FRAMES + 1).max(axis=1)
    return np.clip(hann_mean(grown, 2 * _TAIL_FRAMES + 1), 0.0, 1.0).astype(np.float32)


class Engine:
    """Codec, denoiser and their scales, resident on one device.

    On a processor every call computes on one core, so that results do not depend on how many there are, and
    `sample_cell` may be called from several threads at once: small networks gain more from that than from cores that
    share one product. On a GPU it has one owner at a time.
    """

    def __init__(
        self,
        codec: Codec,
        denoiser: Denoiser,
        config: dict[str, Any],
        weights_hash: str,
        device: str,
        n_threads: int | None = None,
        adapter_folders: Callable[[], Sequence[Path]] = tuple,
    ) -> None:
        self.device = _device(device)
        self.device_name = str(self.device)
        self.weights_hash = weights_hash
        self.latent_dim = codec.config.latent_dim
        self.codec, self.denoiser = codec.to(self.device), denoiser.to(self.device)
        self._network: Network = self.denoiser
        self._decoding: Codec | PackedCodec = self.codec
        self.repack()
        self._mean = np.asarray(config["latent_mean"], dtype=np.float32)
        self._std = np.asarray(config["latent_std"], dtype=np.float32)
        silence = config.get("silence")
        self._silence = None if silence is None else np.asarray(silence, dtype=np.float32)
        typical = config.get("technique_timbre", {})
        self._typical = {name: np.asarray(values, dtype=np.float32) for name, values in typical.items()}
        self.timbre_scale = TimbreScale(tuple(config["timbre_mean"]), tuple(config["timbre_std"]))
        self._n_threads = min(n_threads or os.cpu_count() or 1, _MOST_THREADS) if self.device.type == "cpu" else 1
        self._threads: ThreadPoolExecutor | None = None
        self.adapters = AdapterRack(weights_hash, lambda: (FACTORY_FOLDER, *adapter_folders()), region_map(config))
        self.on_trouble = _logged

    @property
    def on_trouble(self) -> Callable[[str, str], None]:
        """Told (message, remedy) of what the engine gets over by itself."""
        return self.adapters.on_trouble

    @on_trouble.setter
    def on_trouble(self, told: Callable[[str, str], None]) -> None:
        # Kept there alone: an engine that something of its own refers to keeps its threads until it is collected.
        self.adapters.on_trouble = told

    @property
    def latent_scale(self) -> tuple[Float32Array, Float32Array]:
        """Mean and standard deviation of the latents the denoiser knows, each [latent_dim]."""
        return self._mean, self._std

    @property
    def typical_timbres(self) -> dict[str, Float32Array]:
        """Technique -> its timbre [TIMBRE_DIM], where the weights know one."""
        return dict(self._typical)

    @property
    def cells_at_once(self) -> int:
        """How many windows `sample_cells` had best be given."""
        return self._network.free_batch if isinstance(self._network, PackedDenoiser) else 1

    @property
    def is_packed(self) -> bool:
        """Whether the denoiser is played packed (see synth.codec.packed)."""
        return isinstance(self._network, PackedDenoiser)

    @property
    def threads(self) -> ThreadPoolExecutor | None:
        """Where `sample_cell` may run beside the caller; None where it may not."""
        if self._threads is None and self._n_threads > 1:
            # Torch's own number of threads is each thread's: without it, matrix products would share all cores here.
            self._threads = ThreadPoolExecutor(
                self._n_threads, thread_name_prefix="sampler", initializer=torch.set_num_threads, initargs=(1,)
            )
        return self._threads

    def close(self) -> None:
        """End the threads; what they have begun is finished first."""
        if self._threads is not None:
            self._threads.shutdown(cancel_futures=True)
            self._threads = None

    def repack(self, *, is_plain: bool = False) -> None:
        """Play what the networks' weights are now. On a processor they are played packed: call it after a change.

        is_plain   play them as they were trained, in single precision: what packing costs is measured against that
        """
        is_packed = self.device.type == "cpu" and not is_plain
        self._network = (packed_denoiser(self.denoiser) if is_packed else None) or self.denoiser
        self._decoding = (packed_codec(self.codec) if is_packed else None) or self.codec

    @classmethod
    def load(
        cls,
        weights_dir: Path | None = None,
        device: str = "auto",
        n_threads: int | None = None,
        adapter_folders: Callable[[], Sequence[Path]] = tuple,
    ) -> Engine:
        """Read the weights. UserError when they are missing, damaged or of a newer format, or the device is absent.

        n_threads        of the processor, all of them when None
        adapter_folders  says where the adapters that lanes name lie, beside the factory's
        """
        folder = weights_dir or DEFAULT_WEIGHTS_DIR
        torch.set_num_threads(1)
        torch.use_deterministic_algorithms(mode=True, warn_only=True)
        # Nothing here reads what was not written: filling all new memory first would cost a twentieth of the time.
        torch.utils.deterministic.fill_uninitialized_memory = False  # pyright: ignore[reportAttributeAccessIssue]
        denoiser, config = load_denoiser(folder / DENOISER_FILE)
        codec = load_codec(folder / CODEC_FILE)
        weights_hash = content_hash(folder / CODEC_FILE, folder / DENOISER_FILE)
        engine = cls(codec, denoiser, config, weights_hash, device, n_threads, adapter_folders)
        engine.adapters.base_hash = content_hash(folder / DENOISER_FILE)
        return engine

    def sample_cell(
        self,
        window: ControlFrames,
        *,
        seed: int,
        cell_index: int,
        quality: Quality | str,
        should_stop: Callable[[], bool] = never,
        plan: SamplingPlan | None = None,
    ) -> Float32Array:
        """Draw the latents of one cell's window -> [latent_dim, WINDOW_FRAMES].

        window   WINDOW_FRAMES frames of controls from absolute frame cell_index * CELL_FRAMES - CONTEXT_FRAMES on
        plan     replaces what `quality` stands for
        Raises Cancelled between steps.
        """
        return self.sample_cells(
            [window], seed=seed, cell_indices=[cell_index], quality=quality, should_stop=should_stop, plan=plan
        )[0]

    def sample_cells(
        self,
        windows: Sequence[ControlFrames],
        *,
        seed: int,
        cell_indices: Sequence[int],
        quality: Quality | str,
        should_stop: Callable[[], bool] = never,
        plan: SamplingPlan | None = None,
    ) -> list[Float32Array]:
        """The latents of several cells' windows, each as `sample_cell` would draw it, to the bit.

        On a processor `cells_at_once` of them take less time together than one by one. Raises Cancelled between steps.
        """
        chosen = plan or PLANS[Quality(quality)]
        given = [self._given(window, seed, cell) for window, cell in zip(windows, cell_indices, strict=True)]

        def draw() -> list[Float32Array]:
            named = [
                self.adapters.prepare(self.denoiser, condition, window.values) or (self._network, condition)
                for window, (condition, _) in zip(windows, given, strict=True)
            ]
            noises = [noise for _, noise in given]
            return draw_together(
                named,
                noises,
                chosen,
                lambda network, told, noise: sample_window(network, told, noise, chosen, should_stop),
            )

        drawn = self._with_memory(draw)
        return [self._latents(one, window.values["presence"]) for one, window in zip(drawn, windows, strict=True)]

    def _latents(self, drawn: Float32Array, presence: Float32Array) -> Float32Array:
        """What a sampling drew [T, latent_dim], as the decoder takes it [latent_dim, T]; silence where nobody sings."""
        raw = drawn * self._std + self._mean
        if self._silence is not None:
            share = sung_share(presence)[:, None]
            raw = share * raw + (1.0 - share) * self._silence
        return np.ascontiguousarray(raw.T.astype(np.float32))

    def _given(self, window: ControlFrames, seed: int, cell_index: int) -> tuple[Float32Array, Float32Array]:
        """Condition and initial noise of a cell's window."""
        if window.n_frames != WINDOW_FRAMES:
            raise ValueError(f"a window has {WINDOW_FRAMES} frames, not {window.n_frames}")
        timbre = typical_timbre(window.values, self._typical) if window.timbre is None else window.timbre
        condition = condition_array(window.values, timbre, self.timbre_scale)
        first_frame = cell_index * CELL_FRAMES - CONTEXT_FRAMES
        noise = normal_frames(seed, Stream.LATENT, first_frame, WINDOW_FRAMES, self.latent_dim).T.copy()
        noise *= noise_temperature(window.values["presence"])[:, None]
        return condition, noise

    def decode_cell(
        self, latents: Float32Array, pitch_note: Float32Array, *, seed: int, cell_index: int, pitch_drift: float
    ) -> Float32Array:
        """Latents and pitch to the audio of one cell -> [CELL_FRAMES * HOP_SAMPLES] mono.

        latents       [latent_dim, DECODE_FRAMES] from absolute frame cell_index * CELL_FRAMES - DECODER_PAST_FRAMES on
        pitch_note    [3 * CELL_FRAMES] MIDI notes of the cell before, this cell and the one after
        pitch_drift   0..1, how much of the sampled drift of F0 is heard; 0 = the pitch exactly
        """
        return self._with_memory(
            lambda: decode_cell(
                self._decoding, latents, pitch_note, seed=seed, cell_index=cell_index, pitch_drift=pitch_drift
            )
        )

    def _with_memory(self, work: Callable[[], Result]) -> Result:
        """`work`, on the processor for good once the GPU has no memory for it. UserError when no memory is left."""
        try:
            return work()
        except (MemoryError, RuntimeError) as fault:
            if not is_out_of_memory(fault):
                raise
            if self.device.type == "cpu":
                raise UserError("There is not enough memory to sing this.", remedy="Close other programs.") from fault
        # Outside the handler: the fault's traceback holds on to the tensors that filled the memory.
        self.codec, self.denoiser = self.codec.to("cpu"), self.denoiser.to("cpu")
        left, self.device, self.device_name = self.device_name, torch.device("cpu"), "cpu"
        self.repack()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        self.on_trouble(
            f"The memory of {left} is full; the voice goes on, slower, on the processor.",
            "Close programs that use the GPU and start Stridor again.",
        )
        return work()


def _logged(message: str, remedy: str) -> None:
    """What an engine says when nobody listens."""
    log.warning("%s %s", message, remedy)
