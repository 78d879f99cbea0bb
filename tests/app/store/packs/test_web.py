"""Galleries and registries: what strangers wrote is only ever text, and only the named bytes are taken."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
from collections.abc import Iterator
from html.parser import HTMLParser
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest

from app.store.packs import registry as registry_module
from app.store.packs.gallery import write_gallery
from app.store.packs.registry import fetch_pack, read_registry
from synth.errors import UserError
from tests.app.store.packs import forge

EVIL = "<script>alert(1)</script>\"'><img src=x onerror=y>"


class Page(HTMLParser):
    """Tags and attributes of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


@pytest.fixture
def packs(tmp_path: Path) -> Path:
    folder = tmp_path / "packs"
    folder.mkdir()
    (folder / "orcs.stridorpack").write_bytes(forge.good_pack(name=EVIL, description=EVIL))
    (folder / "<b>.stridorpack").write_bytes(forge.small_pack(None))
    (folder / "broken.stridorpack").write_bytes(forge.good_pack()[:-5])
    return folder


def test_the_page_runs_nothing_and_loads_nothing(packs: Path, tmp_path: Path) -> None:
    entries, faults = write_gallery(packs, tmp_path / "out", title=EVIL)
    assert len(entries) == 2
    assert "broken.stridorpack: The file is cut short" in str(faults[0])
    text = (tmp_path / "out" / "index.html").read_text()
    page = Page()
    page.feed(text)
    names = {tag for tag, _ in page.tags}
    assert not names & {"script", "iframe", "object", "embed", "link", "base", "form", "svg"}
    assert "".join(page.texts).count(EVIL) >= 3, "shown as it was written"
    for _, attributes in page.tags:
        assert not [name for name in attributes if name.startswith("on")]
        for name in ("src", "href"):
            link = attributes.get(name)
            assert link is None or re.match(
                r"data:(image/png|audio/flac);base64,|orcs-[0-9a-f]{12}\.stridorpack$", link
            )
    policy = next(a["content"] for _, a in page.tags if a.get("http-equiv") == "Content-Security-Policy")
    assert policy is not None
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert "unsafe" not in policy
    style = re.search(r"<style>(.*?)</style>", text, re.DOTALL)
    assert style is not None
    assert base64.b64encode(hashlib.sha256(style[1].encode()).digest()).decode() in policy
    assert sum(tag == "audio" for tag, _ in page.tags) == 1


def test_a_folder_without_packs_is_told(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no good pack"):
        write_gallery(tmp_path, tmp_path / "out", title="x")


def test_a_registry_from_a_file_gives_the_pack_it_names(packs: Path, tmp_path: Path) -> None:
    write_gallery(packs, tmp_path / "out", title="Voices")
    registry = read_registry(str(tmp_path / "out" / "registry.json"))
    assert registry.name == "Voices"
    content = fetch_pack(registry, registry.packs[0])
    assert hashlib.sha256(content).hexdigest() == registry.packs[0].sha256
    with pytest.raises(UserError, match="lists no pack 'elves'"):
        registry.find("elves")
    (tmp_path / "out" / registry.packs[0].mirrors[0]).write_bytes(content[:-1] + b"x")
    with pytest.raises(UserError, match="another file than the registry names"):
        fetch_pack(registry, registry.packs[0])


ENTRY = {
    "id": "orcs", "name": "Orcs", "version": "1", "author": "Ann", "licence": "CC0-1.0", "description": "",
    "sha256": "ab" * 32, "bytes": 10, "mirrors": ["a.stridorpack"],
}  # fmt: skip


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"id": "../x"}, "is not an id"),
        ({"sha256": "zz"}, "not a SHA-256"),
        ({"bytes": 0}, "no size of a pack"),
        ({"bytes": 10**12}, "no size of a pack"),
        ({"mirrors": []}, "list of 1 to"),
        ({"name": "Orcs\u202e"}, "nobody sees"),
        ({"run": "x"}, "unknown key"),
    ],
)
def test_registries_are_read_strictly(change: dict[str, Any], message: str, tmp_path: Path) -> None:
    path = tmp_path / "registry.json"
    path.write_text(json.dumps({"revision": 1, "name": "x", "packs": [{**ENTRY, **change}]}))
    with pytest.raises(UserError, match=message):
        read_registry(str(path))


@pytest.mark.parametrize(
    "mirror", ["../secret", "/etc/passwd", "file:///etc/passwd", "a/../../b", "C:\\x", "ftp://h/x"]
)
def test_mirrors_lead_to_no_other_files(mirror: str, tmp_path: Path) -> None:
    path = tmp_path / "registry.json"
    path.write_text(json.dumps({"revision": 1, "name": "x", "packs": [{**ENTRY, "mirrors": [mirror]}]}))
    registry = read_registry(str(path))
    with pytest.raises(UserError, match="no address"):
        fetch_pack(registry, registry.packs[0])


class Handler(BaseHTTPRequestHandler):
    """Serves packs, redirects elsewhere, and an answer without end."""

    pages: ClassVar[dict[str, bytes]] = {}

    def do_GET(self) -> None:
        if self.path == "/leave":
            self.send_response(302)
            self.send_header("Location", "file:///etc/passwd")
            self.end_headers()
            return
        body = self.pages.get(self.path)
        self.send_response(200 if body is not None else 404)
        self.end_headers()
        self.wfile.write(body or b"")

    def log_message(self, format: str, *args: object) -> None:
        """Quiet."""


@pytest.fixture
def address() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
        Handler.pages = {}


def test_a_registry_at_an_address(packs: Path, tmp_path: Path, address: str) -> None:
    write_gallery(packs, tmp_path / "out", title="Voices")
    Handler.pages = {f"/v/{path.name}": path.read_bytes() for path in (tmp_path / "out").iterdir()}
    registry = read_registry(f"{address}/v/registry.json")
    pack = registry.packs[0]
    assert hashlib.sha256(fetch_pack(registry, pack)).hexdigest() == pack.sha256
    with pytest.raises(UserError, match="404"):
        read_registry(f"{address}/gone.json")
    with pytest.raises(UserError, match=r"did not answer: .*file:"):
        read_registry(f"{address}/leave")


def test_an_answer_that_is_too_long_is_not_taken(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    Handler.pages = {"/long": bytes(300_000)}
    monkeypatch.setattr(registry_module, "MAX_INDEX_BYTES", 100_000)
    with pytest.raises(UserError, match="larger than it may be"):
        read_registry(f"{address}/long")
