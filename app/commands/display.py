"""Whether a window can be opened here. Asked before Qt is, because Qt ends the process when it cannot."""

from __future__ import annotations

import ctypes
import os
import re
import socket
import sys
from pathlib import Path

# Qt's xcb platform plugin loads these; without the first, Qt 6.5 and newer end the process.
_XCB_LIBRARIES = ("libxcb-cursor.so.0", "libxkbcommon-x11.so.0", "libxcb-icccm.so.4")
_CONNECT_PATIENCE_S = 2.0
_X_TCP_PORT = 6000


def display_trouble() -> str:
    """Why no window can be opened, in one sentence; empty when it can."""
    if not sys.platform.startswith("linux"):
        return ""
    platform = os.environ.get("QT_QPA_PLATFORM", "").split(":")[0].split(";")[0]
    if platform in ("offscreen", "minimal", "vnc", "linuxfb", "eglfs"):
        return ""
    if os.environ.get("WAYLAND_DISPLAY") and platform != "xcb":
        return ""
    name = os.environ.get("DISPLAY", "")
    if not name:
        return "There is no display: DISPLAY is not set."
    if not _answers(name):
        return f"The display {name} does not answer."
    missing = [library for library in _XCB_LIBRARIES if not _loads(library)]
    if missing:
        return f"Qt needs libraries that are not installed: {', '.join(missing)}."
    return ""


def _loads(library: str) -> bool:
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True


def _answers(name: str) -> bool:
    """Whether an X server listens at a display name: ":1", ":1.0", "unix:1", "host:10.0"."""
    match = re.fullmatch(r"(?P<host>[^:]*):(?P<number>\d+)(\.\d+)?", name)
    if match is None:
        return True  # a form we do not know: Qt may
    host, number = match["host"], int(match["number"])
    try:
        if host in ("", "unix"):
            return _unix_socket_answers(number)
        with socket.create_connection((host, _X_TCP_PORT + number), _CONNECT_PATIENCE_S):
            return True
    except OSError:
        return False


def _unix_socket_answers(number: int) -> bool:
    path = f"/tmp/.X11-unix/X{number}"
    for address in (path, f"\0{path}"):  # a file, or Linux's abstract socket of the same name
        if not address.startswith("\0") and not Path(address).exists():
            continue
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(_CONNECT_PATIENCE_S)
            try:
                connection.connect(address)
            except OSError:
                continue
            return True
    return False
