"""Hostile packs cost little memory and time, and write nothing: read in a process of their own under limits."""

from __future__ import annotations

import io
import json
import struct
import subprocess
import sys
import zipfile
import zlib
from pathlib import Path

import numpy as np

from tests.app.store.packs import forge

REPOSITORY = Path(__file__).parents[4]
ALLOWED_BYTES = 400 << 20  # beyond what the program itself takes
ALLOWED_CPU_S = 60

CHILD = """
import json, resource, sys
from pathlib import Path
from app.store.packs.install import plan_installation
from app.store.packs.reader import read_pack
from synth.errors import UserError

def limit_to(kind, most):
    # never above a limit that this process has already
    hard = resource.getrlimit(kind)[1]
    most = most if hard == resource.RLIM_INFINITY else min(most, hard)
    resource.setrlimit(kind, (most, most))

pages = int(Path("/proc/self/statm").read_text().split()[0])
limit_to(resource.RLIMIT_AS, pages * resource.getpagesize() + int(sys.argv[2]))
limit_to(resource.RLIMIT_CPU, int(sys.argv[3]))
limit_to(resource.RLIMIT_FSIZE, 0)
found = {}
for path in sorted(Path(sys.argv[1]).iterdir()):
    try:
        plan_installation(read_pack(path))
        found[path.name] = "read"
    except UserError as refusal:
        found[path.name] = getattr(refusal, "code", str(refusal))
# Not ru_maxrss: that remembers the process that started this one.
status = Path("/proc/self/status").read_text()
peak = int(status.split("VmHWM:")[1].split()[0])
sys.stdout.write(json.dumps({"found": found, "peak_kb": peak}))
"""


def deflated(body: bytes) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    return packer.compress(body) + packer.flush()


def overlapping_bomb(n_files: int) -> bytes:
    """Every directory entry points at one and the same kernel of zeros (Fifield 2019)."""
    kernel = deflated(bytes(8 << 20))
    name = b"presets/a000.json"
    local = (20, 0, 8, 0, 0, zlib.crc32(bytes(8 << 20)), len(kernel), 8 << 20, len(name), 0)
    body = struct.pack("<4sHHHHHIIIHH", b"PK\3\4", *local) + name + kernel
    directory = b"".join(
        struct.pack("<4sHHHHHHIIIHHHHHII", b"PK\1\2", 20, *local, 0, 0, 0, 0, 0) + b"presets/a%03d.json" % index
        for index in range(n_files)
    )
    end = struct.pack("<4sHHHHIIH", b"PK\5\6", 0, 0, n_files, n_files, len(directory), len(body), 0)
    return body + directory + end


def million_files(path: Path) -> None:
    """10^6 entries with the Zip64 records that such a number needs, about 100 MB."""
    name = b"presets/a.json"
    local = struct.pack("<4sHHHHHIIIHH", b"PK\3\4", 20, 0, 0, 0, 0, 0, 0, 0, len(name), 0) + name
    central = struct.pack("<4sHHHHHHIIIHHHHHII", b"PK\1\2", 20, 20, 0, 0, 0, 0, 0, 0, 0, len(name), 0, 0, 0, 0, 0, 0)
    with path.open("wb") as file:
        for _ in range(100):
            file.write(local * 10_000)
        start = file.tell()
        for _ in range(100):
            file.write((central + name) * 10_000)
        size = file.tell() - start
        file.write(struct.pack("<4sQHHIIQQQQ", b"PK\6\6", 44, 45, 45, 0, 0, 10**6, 10**6, size, start))
        file.write(struct.pack("<4sIQI", b"PK\6\7", 0, start + size, 1))
        file.write(struct.pack("<4sHHHHIIH", b"PK\5\6", 0, 0, 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0))


def zip_of(name: str, body: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(zipfile.ZipInfo(name), body, zipfile.ZIP_DEFLATED)
    return file.getvalue()


def hostile(folder: Path) -> dict[str, str]:
    """File -> the code that it must be refused with."""
    million_files(folder / "million")
    values = np.zeros((480, 16_384), dtype=np.float32)
    values[-1, -1] = np.nan
    huge = forge.safetensors({"a": ("F32", values.shape, values.tobytes())})
    bomb = zip_of("presets/a.json", bytes(31 << 20))
    noise = np.random.default_rng(1).integers(10**6, 10**7, 40_000)
    digits = "".join(map(str, noise[:20_000])).encode()  # what does not pack well
    nested = bomb
    for _ in range(5):
        nested = zip_of("presets/a.json", nested)
    packs = {
        "bomb": (bomb, "bomb"),
        "overlap": (overlapping_bomb(1000), "bomb"),
        "overlap-small": (overlapping_bomb(2), "bomb"),
        "nested": (nested, "no-manifest"),
        "nan": (forge.forged([(f"adapters/{'0' * 16}.safetensors", huge)]), "tensor-values"),
        "picture": (forge.forged([("pictures/a.png", forge.png(2048, 2048, said=(1, 1)))]), "bomb"),
        "deep": (forge.forged([("presets/a.json", "".join(f'{{"{n}":' for n in noise[:20_000]).encode())]), "preset"),
        "numbers": (forge.forged([("presets/a.json", b'{"revision": 1' + digits + b"}")]), "preset"),
        "keys": (
            forge.forged([("presets/a.json", json.dumps({digits.decode(): 1, "revision": 2}).encode())]),
            "preset",
        ),
    }
    for name, (body, _) in packs.items():
        (folder / name).write_bytes(body)
    return {"million": "too-many-files", **{name: code for name, (_, code) in packs.items()}}


def test_hostile_packs_under_limits(tmp_path: Path) -> None:
    expected = hostile(tmp_path)
    arguments = [str(tmp_path), str(ALLOWED_BYTES), str(ALLOWED_CPU_S)]
    done = subprocess.run(
        [sys.executable, "-c", CHILD, *arguments], cwd=REPOSITORY, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["found"] == expected
    assert result["peak_kb"] < 500 << 10
