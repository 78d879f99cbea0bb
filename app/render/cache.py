"""Cells made before, found again by their content: sampled latents and decoded audio.

A key is a hash of everything the cell depends on, so an entry never goes stale; it only goes unused. Two levels, each
least-recently-used within a byte budget: memory, and a folder that several processes may share.

Called from one thread; other processes may read, write and evict the same folder meanwhile.
"""

from __future__ import annotations

import hashlib
import io
import logging
import os
import tempfile
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
import platformdirs

from synth.spec import Float32Array

_log = logging.getLogger(__name__)

# Of keys, files and arithmetic together: older entries are simply never asked for again. 2: packed networks.
FORMAT_REVISION = 2
MEMORY_BUDGET_BYTES = 192 * 2**20
DISK_BUDGET_BYTES = 2 * 2**30

_MAGIC = b"STRDCEL1"
_DIGEST_BYTES = 16
_KEY_BYTES = 20
_SUFFIX = ".cell"
# The folder is measured again whenever this share of the budget has been written since the last time.
_SCAN_EVERY = 1 / 64
# Evicting goes down to this share of the budget, so that it does not happen at every write.
_EVICT_TO = 0.9

Trouble = Callable[[str, str], None]  # (message, remedy)


def content_key(kind: str, *parts: bytes | str | float | int) -> bytes:
    """Hash of `kind` and `parts`, unambiguous (each part is length-prefixed) -> 20 bytes."""
    digest = hashlib.blake2b(digest_size=_KEY_BYTES)
    for part in (FORMAT_REVISION, kind, *parts):
        data = part if isinstance(part, bytes) else repr(part).encode()
        digest.update(len(data).to_bytes(8, "little"))
        digest.update(data)
    return digest.digest()


def default_folder() -> Path:
    """Where this user's cells are kept."""
    return Path(platformdirs.user_cache_dir("stridor")) / "cells"


class CellCache:
    """Arrays by content key. A folder that cannot be used costs speed, never work: memory goes on alone.

    folder      None: memory only
    on_trouble  told once when the folder turns out to be unusable
    """

    def __init__(
        self,
        folder: Path | None = None,
        *,
        memory_bytes: int = MEMORY_BUDGET_BYTES,
        disk_bytes: int = DISK_BUDGET_BYTES,
        on_trouble: Trouble | None = None,
    ) -> None:
        self._memory = _MemoryLru(memory_bytes)
        self._disk = _DiskLru(folder, disk_bytes) if folder is not None and disk_bytes > 0 else None
        self._on_trouble = on_trouble

    def get(self, key: bytes) -> Float32Array | None:
        """The array stored under `key`, read-only, or None."""
        array = self._memory.get(key)
        if array is None and self._disk is not None:
            array = self._disk.get(key)
            if array is not None:
                self._memory.put(key, array)
        return array

    def put(self, key: bytes, array: Float32Array) -> None:
        """Keep a copy of `array` under `key`."""
        kept = np.array(array, dtype=np.float32)
        kept.flags.writeable = False
        self._memory.put(key, kept)
        if self._disk is None:
            return
        try:
            self._disk.put(key, kept)
        except OSError as fault:
            folder, self._disk = self._disk.folder, None
            _log.info("cache folder given up: %s", fault)
            if self._on_trouble is not None:
                self._on_trouble(
                    f"Rendered cells cannot be kept in {folder} ({fault.strerror or fault}).",
                    "Rendering goes on without them; free some space there or make the folder writable.",
                )


class _MemoryLru:
    def __init__(self, budget_bytes: int) -> None:
        self._budget_bytes = budget_bytes
        self._entries: OrderedDict[bytes, Float32Array] = OrderedDict()
        self._used_bytes = 0

    def get(self, key: bytes) -> Float32Array | None:
        array = self._entries.get(key)
        if array is not None:
            self._entries.move_to_end(key)
        return array

    def put(self, key: bytes, array: Float32Array) -> None:
        old = self._entries.pop(key, None)
        if old is not None:
            self._used_bytes -= old.nbytes
        self._entries[key] = array
        self._used_bytes += array.nbytes
        while self._used_bytes > self._budget_bytes and self._entries:
            _, dropped = self._entries.popitem(last=False)
            self._used_bytes -= dropped.nbytes


class _DiskLru:
    """One file a key: magic, checksum, npy. The file's modification time is when it was last used."""

    def __init__(self, folder: Path, budget_bytes: int) -> None:
        self.folder = folder
        self._budget_bytes = budget_bytes
        self._unscanned_bytes = budget_bytes  # so that the first write looks at what is there already

    def _path(self, key: bytes) -> Path:
        name = key.hex()
        return self.folder / name[:2] / (name[2:] + _SUFFIX)

    def get(self, key: bytes) -> Float32Array | None:
        path = self._path(key)
        try:
            array = _decoded(path.read_bytes())
        except FileNotFoundError:
            return None
        except (OSError, ValueError, EOFError) as fault:
            _log.info("cache entry %s dropped: %s", path, fault)
            with suppress(OSError):
                path.unlink()
            return None
        with suppress(OSError):  # a read-only folder still serves what is in it
            os.utime(path)
        return array

    def put(self, key: bytes, array: Float32Array) -> None:
        path = self._path(key)
        if path.exists():
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        data = _encoded(array)
        handle, temporary = tempfile.mkstemp(dir=path.parent, suffix=".tmp")
        try:
            # No fsync: the checksum tells a torn entry after a power cut, and it would cost more than the sampling.
            with os.fdopen(handle, "wb") as file:
                file.write(data)
            Path(temporary).replace(path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
        self._unscanned_bytes += len(data)
        if self._unscanned_bytes > self._budget_bytes * _SCAN_EVERY:
            self._evict()

    def _evict(self) -> None:
        self._unscanned_bytes = 0
        entries: list[tuple[float, int, Path]] = []
        # Abandoned .tmp files of processes that were killed age and go like the rest.
        for path in self.folder.glob("??/*"):
            with suppress(OSError):  # another process may have evicted it between listing and looking
                stat = path.stat()
                entries.append((stat.st_mtime, stat.st_size, path))
        used_bytes = sum(size for _, size, _ in entries)
        if used_bytes <= self._budget_bytes:
            return
        for _, size, path in sorted(entries, key=lambda entry: entry[0]):
            if used_bytes <= self._budget_bytes * _EVICT_TO:
                break
            with suppress(OSError):
                path.unlink()
            used_bytes -= size


def _encoded(array: Float32Array) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    payload = buffer.getvalue()
    return _MAGIC + hashlib.blake2b(payload, digest_size=_DIGEST_BYTES).digest() + payload


def _decoded(data: bytes) -> Float32Array:
    """Inverse of `_encoded`. Raises ValueError for anything else."""
    start = len(_MAGIC) + _DIGEST_BYTES
    payload = data[start:]
    digest = hashlib.blake2b(payload, digest_size=_DIGEST_BYTES).digest()
    if data[:start] != _MAGIC + digest:
        raise ValueError("checksum or format does not match")
    array = np.load(io.BytesIO(payload), allow_pickle=False)
    array.flags.writeable = False
    return array
