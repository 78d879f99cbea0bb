"""A folder of packs as one web page that anyone can host: names, terms, keys, pictures, and previews to listen to.

The page holds everything in itself, runs no script, and loads nothing: its content security policy allows the style in
it, and sounds and pictures in it. Every text is escaped. Beside it lie the packs and an index for `--from`.
"""

from __future__ import annotations

import base64
import hashlib
import html
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from app.store.atomic import make_folder, read_bytes, write_atomically
from app.store.packs.reader import Pack, PackReader
from app.store.packs.registry import Listed, format_registry, listed
from app.store.packs.summary import contents_line
from app.store.packs.writer import PACK_SUFFIX
from synth.errors import UserError

PAGE: Final = "index.html"
INDEX: Final = "registry.json"
_STYLE: Final = """
:root { color-scheme: light dark; --line: #8884; --dim: #888; --accent: #5b8cff; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 0 auto; padding: 2rem 1rem 4rem; }
h1 { font-size: 1.6rem; margin-bottom: 0; }
section { border: 1px solid var(--line); border-radius: 12px; padding: 1.2rem 1.4rem; margin: 1.4rem 0; }
h2 { margin: 0; font-size: 1.25rem; }
.cover { float: right; max-width: 9rem; max-height: 9rem; border-radius: 8px; margin: 0 0 .6rem 1rem; }
.dim { color: var(--dim); font-size: .9rem; margin: .2rem 0; }
.key { font-family: ui-monospace, monospace; font-size: .8rem; }
ul { list-style: none; padding: 0; display: grid; gap: .8rem;
  grid-template-columns: repeat(auto-fill, minmax(17rem, 1fr)); }
li { border: 1px solid var(--line); border-radius: 8px; padding: .7rem .9rem; }
li p { margin: .15rem 0; }
.tag { display: inline-block; border: 1px solid var(--line); border-radius: 99px; padding: 0 .5rem; font-size: .75rem; }
audio { width: 100%; height: 2rem; margin-top: .4rem; }
a { color: var(--accent); }
""".strip()


@dataclass(frozen=True, slots=True)
class _Shown:
    file_name: str
    pack: Pack
    content: bytes


def write_gallery(packs: Path, out: Path, *, title: str) -> tuple[list[Listed], list[UserError]]:
    """Turn the packs in a folder into a page in `out` -> (the packs on it, what was wrong with the others).

    Raises UserError where there is no pack, or the disk refuses.
    """
    shown: list[_Shown] = []
    faults: list[UserError] = []
    for path in sorted(packs.glob(f"*{PACK_SUFFIX}")):
        content = read_bytes(path)
        try:
            shown.append(_Shown(path.name, PackReader(io.BytesIO(content)).read(), content))
        except UserError as fault:
            faults.append(UserError(f"{path.name}: {fault.message}", remedy=fault.remedy))
    if not shown:
        raise UserError(f"There is no good pack in {packs}.", remedy=f"Put {PACK_SUFFIX} files there.")
    make_folder(out)
    entries: list[Listed] = []
    for one in shown:
        # Called by what it is, not as it was: the page's links must not depend on names that strangers chose.
        name = f"{one.pack.manifest.id}-{hashlib.sha256(one.content).hexdigest()[:12]}{PACK_SUFFIX}"
        write_atomically(out / name, one.content)
        entries.append(listed(one.pack, one.content, [name]))
    write_atomically(out / PAGE, _page(title, shown, entries).encode("utf-8"))
    write_atomically(out / INDEX, format_registry(title, entries))
    return entries, faults


def _page(title: str, shown: Sequence[_Shown], entries: Sequence[Listed]) -> str:
    style_hash = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
    policy = (
        f"default-src 'none'; style-src 'sha256-{style_hash}'; img-src data:; media-src data:; "
        "base-uri 'none'; form-action 'none'"
    )
    sections = "\n".join(_section(one, entry) for one, entry in zip(shown, entries, strict=True))
    n_presets = sum(len(one.pack.presets) for one in shown)
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer">
<title>{html.escape(title)}</title>
<style>{_STYLE}</style>
</head>
<body>
<h1>{html.escape(title)}</h1>
<p class="dim">{len(shown)} packs, {n_presets} presets for Stridor. Open a pack in Stridor, or drop it on its window: it
shows what is in it before anything is written.</p>
{sections}
</body>
</html>
"""


def _section(one: _Shown, entry: Listed) -> str:
    pack, manifest = one.pack, one.pack.manifest
    reader = PackReader(io.BytesIO(one.content))
    pictures = [file.path for file in manifest.files if file.path.startswith("pictures/")]
    cover = ""
    if pictures:
        cover = f'<img class="cover" alt="" src="{_data("image/png", reader.content(pictures[0]))}">'
    signed = "Not signed." if pack.signer is None else f'Signed: <span class="key">{pack.signer.fingerprint}</span>'
    presets = "\n".join(_preset(pack, preset_id, reader) for preset_id in pack.presets)
    return f"""<section>
{cover}<h2>{html.escape(manifest.name)} <small>{html.escape(manifest.version)}</small></h2>
<p class="dim">by {html.escape(manifest.author)} · {html.escape(manifest.licence)} · {contents_line(pack)}</p>
<p>{html.escape(manifest.description)}</p>
<p class="dim">{html.escape(manifest.consent)}</p>
<p class="dim">{signed}</p>
<p><a download href="{html.escape(entry.mirrors[0])}">Download</a> <span class="dim">{entry.size / 1e6:.2f} MB · SHA-256
<span class="key">{entry.sha256}</span></span></p>
<ul>
{presets}
</ul>
</section>"""


def _preset(pack: Pack, preset_id: str, reader: PackReader) -> str:
    preset = pack.presets[preset_id]
    tags = " ".join(f'<span class="tag">{html.escape(tag)}</span>' for tag in preset.tags)
    preview = ""
    if preset_id in pack.previews_s:
        sound = _data("audio/flac", reader.content(f"previews/{preset_id}.flac"))
        preview = f'<audio controls preload="none" src="{sound}"></audio>'
    return (
        f"<li><strong>{html.escape(preset.name)}</strong><p>{html.escape(preset.description)}</p>"
        f'<p>{tags}</p><p class="dim">{html.escape(preset.licence)}</p>{preview}</li>'
    )


def _data(kind: str, content: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}"
