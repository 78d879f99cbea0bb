"""Adapter files: safetensors that peft can read, with what a person wants to know in the metadata. Nothing executable.

Tensors of LoRA and its relatives bear peft's own names ("base_model.model.<layer>.lora_A.weight"), and the metadata
holds peft's configuration beside ours, so that `export_for_peft` only has to write the two files peft looks for.
SaRA's are "<layer>.indices" (int32, rising places in the flattened matrix) and "<layer>.values"; full fine-tuning's are
"<layer>.weight" and "<layer>.bias", what is added to the base.

Revisions:
1  the first
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Final

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save, save_file
from torch import Tensor

from synth.adapters.deltas import METHODS, PEFT_PREFIX, PEFT_SUFFIXES, SUFFIXES
from synth.adapters.layout import REGIONS
from synth.atomic import write_atomically
from synth.errors import UserError

KIND: Final = "adapter"
REVISION: Final = 1
SUFFIX: Final = ".safetensors"
ID_DIGITS: Final = 16
MAX_BYTES: Final = 64 << 20
_MAX_HEADER_BYTES: Final = 1 << 20
_MAX_TENSORS: Final = 4_096
_MAX_RANK: Final = 256
_FLOATS: Final = frozenset({"F16", "BF16", "F32"})
_LAYER_FORM: Final = re.compile(r"[a-z_]+(\.[a-z0-9_]+){0,6}")
_HASH_FORM: Final = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True, slots=True)
class AdapterInfo:
    """What a file says of itself.

    method       one of METHODS
    base_hash    synth.codec.weights.content_hash of the denoiser's file it was trained on
    regions      in which it works
    rank, alpha  of peft's methods; 0 else
    parameters   that were trained; share: of the base's
    features     what was measured of the material: lane id -> mean
    training     summary: steps, seconds, losses
    """

    name: str
    method: str
    base_hash: str
    regions: tuple[str, ...]
    technique: str
    licence: str
    consent: str
    author: str = ""
    rank: int = 0
    alpha: float = 0.0
    parameters: int = 0
    share: float = 0.0
    features: Mapping[str, float] = field(default_factory=dict)
    training: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise ValueError(f"unknown method {self.method!r}")
        if not self.regions or any(region not in REGIONS for region in self.regions):
            raise ValueError(f"regions {list(self.regions)}")
        if not _HASH_FORM.fullmatch(self.base_hash):
            raise ValueError("no hash of a base")
        if self.method in PEFT_SUFFIXES and not (0 < self.rank <= _MAX_RANK and math.isfinite(self.alpha)):
            raise ValueError(f"rank {self.rank}, alpha {self.alpha}")
        if not self.name.strip() or not self.licence.strip() or not self.consent.strip():
            raise ValueError("name, licence or consent is empty")

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        values = asdict(self)
        return values | {"regions": list(self.regions), "features": dict(self.features)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> AdapterInfo:
        """The inverse of `as_dict`. Raises ValueError for what is unknown, missing or of a wrong type."""
        known = {spec.name: spec for spec in fields(cls)}
        unknown = next((name for name in values if name not in known), None)
        if unknown is not None:
            raise ValueError(f"unknown key {unknown!r}")
        for name in ("name", "method", "base_hash", "technique", "licence", "consent", "author"):
            if not isinstance(values.get(name, ""), str):
                raise ValueError(f"{name} is no text")
        for name in ("rank", "alpha", "parameters", "share"):
            number = values.get(name, 0)
            if isinstance(number, bool) or not isinstance(number, int | float) or not math.isfinite(number):
                raise ValueError(f"{name} is no number")
        regions = values.get("regions")
        if not isinstance(regions, list) or not all(isinstance(region, str) for region in regions):
            raise ValueError("regions are no list of names")
        if not all(isinstance(values.get(name, {}), dict) for name in ("features", "training")):
            raise ValueError("features or training is no table")
        try:
            return cls(**{**values, "regions": tuple(regions), "rank": int(values.get("rank", 0))})
        except TypeError as fault:  # a key without which there is none
            raise ValueError(str(fault)) from fault


@dataclass(frozen=True, slots=True)
class Adapter:
    """An adapter in memory. layers: name of a layer of the denoiser -> suffix -> tensor, as they stand in the file.

    id       the first digits of the file's SHA-256, as in the lanes adapter.<id>.<region>
    sha256   of the whole file
    """

    info: AdapterInfo
    layers: Mapping[str, Mapping[str, Tensor]]
    id: str
    sha256: str

    @classmethod
    def of(cls, info: AdapterInfo, layers: Mapping[str, Mapping[str, Tensor]], peft_config: str = "") -> Adapter:
        """An adapter that is in no file yet, by the id it will have in one."""
        return _named(info, layers, _bytes(info, layers, peft_config))


def save_adapter(
    path: Path, info: AdapterInfo, layers: Mapping[str, Mapping[str, Tensor]], peft_config: str = ""
) -> Adapter:
    """Write an adapter, all or nothing. -> the same as it will be read back

    peft_config   peft's own configuration as JSON, for its methods
    """
    data = _bytes(info, layers, peft_config)
    write_atomically(path, data)
    return _named(info, layers, data)


def read_adapter(path: Path) -> Adapter:
    """Read and check a file; nothing is believed before it is looked at. UserError, one line, for any that is no good.

    Whether it fits a base is for synth.adapters.mixing to say.
    """
    if not path.is_file():
        raise UserError(f"There is no adapter {path}.", remedy="Check the name.")
    if path.stat().st_size > MAX_BYTES:
        raise _refused(path, f"it is larger than {MAX_BYTES >> 20} MB")
    data = path.read_bytes()
    if len(data) < 8 or int.from_bytes(data[:8], "little") > min(_MAX_HEADER_BYTES, len(data) - 8):
        raise _refused(path, "it is no safetensors file, or its header is too long")
    try:
        with safe_open(path, framework="pt") as file:
            metadata: dict[str, str] = file.metadata() or {}
            info = _read_info(path, metadata)
            tensors = _read_tensors(path, file, info.method)
    except (SafetensorError, OSError, RuntimeError, ValueError) as fault:
        raise _refused(path, str(fault).splitlines()[0] if str(fault) else "it cannot be read") from fault
    return _named(info, _by_layer(path, tensors, info.method), data)


def read_peft_config(path: Path) -> dict[str, Any]:
    """peft's configuration in an adapter file; empty for methods that are not peft's. UserError as read_adapter."""
    read_adapter(path)
    with safe_open(path, framework="pt") as file:
        return json.loads((file.metadata() or {}).get("peft_config") or "{}")


def export_for_peft(path: Path, folder: Path) -> Path:
    """Lay an adapter out as `peft.PeftModel.from_pretrained` wants it -> `folder`. UserError for SaRA and full."""
    adapter, config = read_adapter(path), read_peft_config(path)
    if not config:
        raise UserError(f"{path.name} was not made with peft ({adapter.info.method}).", remedy="Use it in Stridor.")
    folder.mkdir(parents=True, exist_ok=True)
    save_file(_flat(adapter.layers, adapter.info.method), folder / "adapter_model.safetensors", {"format": "pt"})
    (folder / "adapter_config.json").write_text(json.dumps(config, indent=1), encoding="utf-8")
    return folder


def _bytes(info: AdapterInfo, layers: Mapping[str, Mapping[str, Tensor]], peft_config: str) -> bytes:
    metadata = {
        "format": "pt", "kind": KIND, "revision": str(REVISION), "peft_config": peft_config,
        "config": json.dumps(info.as_dict(), sort_keys=True),
    }  # fmt: skip
    return _in_order(save(_flat(layers, info.method), metadata=metadata))


def _in_order(data: bytes) -> bytes:
    """The same file with its header's keys in order: the library writes metadata in another order every time."""
    end = 8 + int.from_bytes(data[:8], "little")
    header = json.dumps(json.loads(data[8:end]), sort_keys=True, separators=(",", ":")).encode()
    header += b" " * (-len(header) % 8)
    return len(header).to_bytes(8, "little") + header + data[end:]


def _flat(layers: Mapping[str, Mapping[str, Tensor]], method: str) -> dict[str, Tensor]:
    prefix = PEFT_PREFIX if method in PEFT_SUFFIXES else ""
    return {
        f"{prefix}{layer}.{suffix}": value.detach().cpu().contiguous()
        for layer, parts in layers.items()
        for suffix, value in parts.items()
    }


def _named(info: AdapterInfo, layers: Mapping[str, Mapping[str, Tensor]], data: bytes) -> Adapter:
    digest = hashlib.sha256(data).hexdigest()
    return Adapter(info, layers, digest[:ID_DIGITS], digest)


def _read_info(path: Path, metadata: Mapping[str, str]) -> AdapterInfo:
    if metadata.get("kind") != KIND:
        raise _refused(path, f"it holds {metadata.get('kind', 'nothing known')}")
    try:
        revision = int(metadata.get("revision", ""))
        values = json.loads(metadata.get("config", ""))
        if not isinstance(values, dict):
            raise ValueError("its description is no table")
        if revision > REVISION:
            raise UserError(f"{path.name} was written by a newer Stridor.", remedy="Update Stridor.")
        return AdapterInfo.from_dict(values)
    except RecursionError as fault:
        raise _refused(path, "its description is nested too deeply") from fault
    except ValueError as fault:
        raise _refused(path, f"its description is not readable ({fault})") from fault


def _read_tensors(path: Path, file: Any, method: str) -> dict[str, Tensor]:
    names: list[str] = list(file.keys())
    if not 0 < len(names) <= _MAX_TENSORS:
        raise _refused(path, f"it holds {len(names)} tensors")
    tensors: dict[str, Tensor] = {}
    for name in names:
        part = file.get_slice(name)
        wanted = {"I32"} if method == "sara" and name.endswith(".indices") else _FLOATS
        if part.get_dtype() not in wanted:
            raise _refused(path, f"{name} is of type {part.get_dtype()}")
        tensors[name] = file.get_tensor(name)
        if tensors[name].is_floating_point() and not bool(torch.isfinite(tensors[name]).all()):
            raise _refused(path, f"{name} holds values that are no numbers")
    return tensors


def _by_layer(path: Path, tensors: Mapping[str, Tensor], method: str) -> dict[str, dict[str, Tensor]]:
    suffixes = sorted(SUFFIXES[method], key=len, reverse=True)
    layers: dict[str, dict[str, Tensor]] = defaultdict(dict)
    for name, value in tensors.items():
        bare = name.removeprefix(PEFT_PREFIX) if method in PEFT_SUFFIXES else name
        suffix = next((suffix for suffix in suffixes if bare.endswith(f".{suffix}")), None)
        layer = bare[: -len(suffix) - 1] if suffix else ""
        if suffix is None or not _LAYER_FORM.fullmatch(layer):
            raise _refused(path, f"a tensor is called {name[:80]!r}")
        layers[layer][suffix] = value
    return dict(layers)


def _refused(path: Path, why: str) -> UserError:
    return UserError(f"{path.name} is no adapter that can be used: {why}.", remedy="Get it again from where it came.")
