"""Adapter files, looked at without torch: a safetensors file with bounded shapes, finite values and our metadata.

The format: 8 bytes length of the header, a JSON header that gives every tensor's type, shape and place, the values.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

import numpy as np

from app.store.documents import parse_document
from app.store.packs.refusal import PackRefused
from app.store.packs.texts import check_shown
from synth.errors import UserError

MAX_HEADER_BYTES: Final = 1 << 20
MAX_TENSORS: Final = 4096
MAX_DIMENSIONS: Final = 4
MAX_LENGTH: Final = 1 << 16  # along one dimension
MAX_VALUE: Final = 1e4  # in size; an adapter's values are below 10
_BYTES: Final[Mapping[str, int]] = MappingProxyType({"F32": 4, "F16": 2, "BF16": 2, "I32": 4})
_NAME_FORM: Final = re.compile(r"[A-Za-z0-9_]+(\.[A-Za-z0-9_]+){0,15}")
_HASH_FORM: Final = re.compile(r"[0-9a-f]{32}")
_VALUES_AT_ONCE: Final = 1 << 18
_KIND: Final = "adapter"


@dataclass(frozen=True, slots=True)
class AdapterFacts:
    """What an adapter file says of itself, and the shapes in it.

    base_hash    of the denoiser's file that it was trained on
    shapes       tensor -> (type, shape)
    """

    name: str
    method: str
    base_hash: str
    regions: tuple[str, ...]
    licence: str
    consent: str
    shapes: Mapping[str, tuple[str, tuple[int, ...]]]


def read_adapter_facts(content: bytes, name: str) -> AdapterFacts:
    """Check the whole file and tell what it is. Raises PackRefused."""
    if len(content) < 8 or content[:2] in (b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05"):
        raise PackRefused("not-safetensors", f"{name} is no safetensors file.")
    header_bytes = int.from_bytes(content[:8], "little")
    if header_bytes > min(MAX_HEADER_BYTES, len(content) - 8):
        raise PackRefused("not-safetensors", f"{name} is no safetensors file, or its header is too long.")
    header = _json(content[8 : 8 + header_bytes], name)
    metadata = header.pop("__metadata__", {})
    if not 0 < len(header) <= MAX_TENSORS:
        raise PackRefused("tensor-number", f"{name} holds {len(header)} tensors; 1 to {MAX_TENSORS} may be.")
    places = sorted((_placed(tensor, entry, name) for tensor, entry in header.items()), key=lambda p: p[1:3])
    at = 0
    values = memoryview(content)[8 + header_bytes :]
    for tensor, start, end, dtype, _ in places:
        if start != at or end > len(values):
            raise PackRefused("tensor-layout", f"{name}: {tensor} overlaps another tensor or lies apart.")
        _check_values(values[start:end], dtype, f"{name}: {tensor}")
        at = end
    if at != len(values):
        raise PackRefused("tensor-layout", f"{name} holds {len(values) - at} bytes more than its tensors.")
    return _facts(metadata, {tensor: (dtype, shape) for tensor, _, _, dtype, shape in places}, name)


def _json(content: bytes, name: str) -> dict[str, Any]:
    try:
        return parse_document(content, name, what="safetensors header")
    except UserError as fault:
        raise PackRefused("not-safetensors", fault.message) from fault


def _placed(tensor: str, entry: object, name: str) -> tuple[str, int, int, str, tuple[int, ...]]:
    """(tensor, start, end, type, shape) of one entry of the header."""
    if not _NAME_FORM.fullmatch(tensor) or len(tensor) > 200:
        raise PackRefused("tensor-name", f"{name} holds a tensor called {tensor[:60]!r}.")
    place = f"{name}: {tensor}"
    if not isinstance(entry, dict) or set(entry) != {"dtype", "shape", "data_offsets"}:
        raise PackRefused("not-safetensors", f"{place} is not described as tensors are.")
    dtype, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not isinstance(dtype, str) or dtype not in _BYTES:
        raise PackRefused("tensor-type", f"{place} is of a type that adapters do not use.")
    if not _whole_numbers(shape) or not _whole_numbers(offsets) or len(offsets) != 2:
        raise PackRefused("not-safetensors", f"{place} is not described as tensors are.")
    if len(shape) > MAX_DIMENSIONS or any(not 0 < length <= MAX_LENGTH for length in shape):
        raise PackRefused("tensor-shape", f"{place} has a shape that no adapter has.")
    start, end = offsets
    if end - start != math.prod(shape) * _BYTES[dtype]:
        raise PackRefused("tensor-shape", f"{place} has not as many values as its shape says.")
    return tensor, start, end, dtype, tuple(shape)


def _whole_numbers(value: object) -> bool:
    """A list of whole numbers from 0 up."""
    return isinstance(value, list) and all(
        isinstance(number, int) and not isinstance(number, bool) and number >= 0 for number in value
    )


def _check_values(raw: memoryview, dtype: str, place: str) -> None:
    """Finite and of bearable size, a piece at a time."""
    for start in range(0, len(raw), _VALUES_AT_ONCE * _BYTES[dtype]):
        piece = raw[start : start + _VALUES_AT_ONCE * _BYTES[dtype]]
        if dtype == "I32":
            if np.frombuffer(piece, dtype="<i4").min() < 0:
                raise PackRefused("tensor-values", f"{place} holds places below 0.")
            continue
        if dtype == "BF16":
            values = (np.frombuffer(piece, dtype="<u2").astype(np.uint32) << 16).view(np.float32)
        else:
            values = np.frombuffer(piece, dtype="<f4" if dtype == "F32" else "<f2")
        if not np.isfinite(values).all():
            raise PackRefused("tensor-values", f"{place} holds values that are no numbers.")
        if np.abs(values).max() > MAX_VALUE:
            raise PackRefused("tensor-values", f"{place} holds values beyond all measure.")


def _facts(metadata: object, shapes: dict[str, tuple[str, tuple[int, ...]]], name: str) -> AdapterFacts:
    if not isinstance(metadata, dict) or metadata.get("kind") != _KIND:
        raise PackRefused("not-an-adapter", f"{name} does not say that it is an adapter.")
    config = metadata.get("config")
    if not isinstance(config, str):
        raise PackRefused("not-an-adapter", f"{name} does not describe itself.")
    try:
        stored = _json(config.encode("utf-8"), name)
        texts = {key: stored[key] for key in ("name", "method", "base_hash", "licence", "consent")}
        regions = stored["regions"]
    except (KeyError, PackRefused, json.JSONDecodeError) as fault:
        raise PackRefused("not-an-adapter", f"{name} does not describe itself.") from fault
    if not all(isinstance(text, str) and text.strip() for text in texts.values()):
        raise PackRefused("not-an-adapter", f"{name} does not say its name, method, base, licence and consent.")
    if not _HASH_FORM.fullmatch(texts["base_hash"]):
        raise PackRefused("not-an-adapter", f"{name} does not say on which base it was trained.")
    if not isinstance(regions, list) or not set(map(str, regions)) <= {"early", "middle", "late"}:
        raise PackRefused("not-an-adapter", f"{name} works in unknown regions.")
    for key, text in texts.items():
        check_shown(text, f"{name}: {key}")
    return AdapterFacts(**texts, regions=tuple(regions), shapes=MappingProxyType(shapes))
