"""The adapters an engine has loaded: found by the lanes that name them, and turned into columns of the condition.

Loading builds another AdaptedDenoiser and then puts it in place; whoever samples meanwhile goes on with the one it has.
"""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from synth.adapters.file import SUFFIX, Adapter, read_adapter
from synth.adapters.layout import DEFAULT_MAP, MAX_STRENGTH, REGIONS
from synth.adapters.mixing import AdaptedDenoiser, merged_denoiser
from synth.diffusion.packed import packed_denoiser
from synth.diffusion.sampler import Network
from synth.diffusion.unet import Denoiser
from synth.errors import UserError
from synth.spec.lanes import is_adapter_lane

log = logging.getLogger(__name__)

Float32Array = NDArray[np.float32]
Trouble = Callable[[str, str], None]
FACTORY_FOLDER: Final = Path(__file__).resolve().parents[2] / "presets" / "adapters"
_MERGED_KEPT: Final = 3  # networks with adapters worked in, each as large as the base


def adapter_strengths(values: Mapping[str, Float32Array]) -> dict[str, dict[str, Float32Array]]:
    """Adapters that sound in some lanes -> region -> strength [n_frames]; silent adapters are left out."""
    found: dict[str, dict[str, Float32Array]] = {}
    for lane_id in sorted(lane_id for lane_id in values if is_adapter_lane(lane_id)):
        strength = np.clip(np.nan_to_num(values[lane_id]), 0.0, MAX_STRENGTH).astype(np.float32)
        if strength.any():
            _, adapter_id, region = lane_id.split(".")
            found.setdefault(adapter_id, {})[region] = strength
    return found


class AdapterRack:
    """Adapters of one base, in the order in which they came.

    base_hash  of the denoiser's file: adapters of another base are played where they fit, with a warning
    folders    says where files called <id>.safetensors are looked for when a lane names an adapter that is not loaded
    Any thread may call any method.
    """

    def __init__(
        self,
        base_hash: str,
        folders: Callable[[], Sequence[Path]] = lambda: (FACTORY_FOLDER,),
        mapped: Mapping[str, Sequence[str]] = DEFAULT_MAP,
    ) -> None:
        self.base_hash, self.folders, self.mapped = base_hash, folders, mapped
        self._lock = threading.Lock()
        self._adapters: tuple[Adapter, ...] = ()
        self._adapted: tuple[Denoiser, str, AdaptedDenoiser] | None = None
        self._merged: OrderedDict[tuple[object, ...], Network] = OrderedDict()
        self.on_trouble: Trouble = _logged

    @property
    def adapters(self) -> tuple[Adapter, ...]:
        """What is loaded."""
        return self._adapters

    def add(self, adapter: Adapter) -> None:
        """Load one more; nothing where it is loaded already. What sounds goes on sounding."""
        with self._lock:
            self._add(adapter)

    def remove(self, adapter_id: str) -> None:
        """Let go of an adapter; lanes that name it load it again."""
        with self._lock:
            self._adapters = tuple(adapter for adapter in self._adapters if adapter.id != adapter_id)
            self._adapted = None

    def load(self, path: Path) -> Adapter:
        """Read a file and load it. UserError when it is no good."""
        adapter = read_adapter(path)
        self.add(adapter)
        return adapter

    def prepare(
        self, base: Denoiser, condition: Float32Array, values: Mapping[str, Float32Array]
    ) -> tuple[Network, Float32Array] | None:
        """What sings `values`, and its condition: [T, CONDITION_DIM] with the strengths' columns behind.

        None where no adapter sounds. Where no strength moves, on a processor, the adapters are worked into a packed
        network of their own, which is as fast as the base. UserError for an adapter that is nowhere.
        """
        wanted = adapter_strengths(values)
        if not wanted:
            return None
        adapted = self.adapted(base, wanted)
        columns = np.zeros((len(condition), adapted.n_strengths), dtype=np.float32)
        for index, adapter in enumerate(adapted.adapters):
            for region, strength in wanted.get(adapter.id, {}).items():
                columns[:, index * len(REGIONS) + REGIONS.index(region)] = strength
        if base.device.type == "cpu" and bool((columns == columns[:1]).all()):
            return self._at(base, adapted, tuple(map(float, columns[0]))), condition
        return adapted, np.concatenate([condition, columns], axis=1)

    def adapted(self, base: Denoiser, wanted: Collection[str] = ()) -> AdaptedDenoiser:
        """`base` with everything in it that is loaded or `wanted`. UserError for what is nowhere, or does not fit."""
        if type(base) is not Denoiser:
            raise UserError("This voice cannot sing with adapters.", remedy="Train a voice with `stridor train`.")
        with self._lock:
            for adapter_id in sorted(set(wanted) - {adapter.id for adapter in self._adapters}):
                self._add(self._found(adapter_id))
            device = str(base.device)
            known = self._adapted
            if known is None or known[0] is not base or known[1] != device:
                known = self._adapted = (base, device, AdaptedDenoiser(base, self._adapters, self.mapped))
                self._merged.clear()
            return known[2]

    def _at(self, base: Denoiser, adapted: AdaptedDenoiser, strengths: tuple[float, ...]) -> Network:
        """The network with its adapters at fixed strengths; the last few are kept."""
        name = (*(adapter.id for adapter in adapted.adapters), *strengths)
        with self._lock:
            network = self._merged.pop(name, None)
            if network is None:
                merged = merged_denoiser(base, adapted.adapters, strengths, self.mapped)
                network = packed_denoiser(merged) or merged
            self._merged[name] = network
            while len(self._merged) > _MERGED_KEPT:
                self._merged.popitem(last=False)
        return network

    def _found(self, adapter_id: str) -> Adapter:
        for folder in self.folders():
            path = folder / f"{adapter_id}{SUFFIX}"
            if path.is_file():
                adapter = read_adapter(path)
                if adapter.id != adapter_id:
                    raise UserError(f"{path} holds another adapter.", remedy="Install it again.")
                return adapter
        raise UserError(
            f"The adapter {adapter_id} is not installed.", remedy="Install the pack it came with, or set it to 0."
        )

    def _add(self, adapter: Adapter) -> None:
        if any(known.id == adapter.id for known in self._adapters):
            return
        if adapter.info.base_hash != self.base_hash:
            self.on_trouble(
                f"The adapter '{adapter.info.name}' was made for another voice; it may sound differently.",
                "Adapt this voice anew for the sound it was made for.",
            )
        self._adapters = (*self._adapters, adapter)
        self._adapted = None


def _logged(message: str, remedy: str) -> None:
    log.warning("%s %s", message, remedy)
