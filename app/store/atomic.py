"""Files replaced as a whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import uuid
from pathlib import Path
from typing import Final

from synth.errors import UserError

_REMEDIES: Final = {
    errno.ENOSPC: "Free some space, or save elsewhere.",
    errno.EDQUOT: "Free some space, or save elsewhere.",
    errno.EROFS: "Save to a folder you may write to.",
    errno.EACCES: "Save to a folder you may write to.",
    errno.EPERM: "Save to a folder you may write to.",
    errno.ENOENT: "Choose a folder that exists.",
    errno.ENOTDIR: "Choose a folder that exists.",
}


def write_atomically(path: Path, content: bytes, *, keep_backup: bool = False) -> None:
    """Replace `path` by `content`; on any failure the old file is as it was and nothing else is left.

    keep_backup    the file replaced, if any, stays beside it as `name~`
    Raises UserError on a read-only or full disk, or a folder that is not there.
    """
    path = Path(path)
    temporary: Path | None = None
    try:
        temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.part")
        with temporary.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        if path.exists():
            temporary.chmod(path.stat().st_mode & 0o777)
        if keep_backup and path.exists():
            _keep_backup(path)
        temporary.replace(path)
        temporary = None
        _sync_folder(path.parent)
    except OSError as fault:
        remedy = _REMEDIES.get(fault.errno or 0, "Save elsewhere.")
        raise UserError(f"{path} was not written: {fault.strerror or fault}.", remedy=remedy) from fault
    finally:
        if temporary is not None:
            with contextlib.suppress(OSError):
                temporary.unlink()


def make_folder(folder: Path, *, remedy: str = "Check its parent.", mode: int = 0o777) -> Path:
    """Make `folder` and what it lies in, where they are not there -> itself. Raises UserError."""
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=mode)
    except OSError as fault:
        raise UserError(f"{folder} cannot be made: {fault.strerror or fault}.", remedy=remedy) from fault
    return folder


def read_bytes(path: Path) -> bytes:
    """The whole file. Raises UserError where it cannot be read."""
    try:
        return Path(path).read_bytes()
    except OSError as fault:
        raise UserError(f"{path} cannot be read: {fault.strerror or fault}.", remedy="Check the path.") from fault


def backup_path(path: Path) -> Path:
    """Where the previous version of `path` is kept."""
    return path.with_name(f"{path.name}~")


def _keep_backup(path: Path) -> None:
    """Link (or where links are unknown, copy) the present file aside, so that `path` itself never disappears."""
    aside = path.with_name(f".{path.name}.backup.part")
    with contextlib.suppress(FileNotFoundError):
        aside.unlink()
    try:
        os.link(path, aside)
    except OSError:
        shutil.copy2(path, aside)
    aside.replace(backup_path(path))


def _sync_folder(folder: Path) -> None:
    """Make the rename itself durable, where the system can open folders."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
