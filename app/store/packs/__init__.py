"""Packs: presets that strangers exchange. What a file says of itself is never believed; see docs/packs.md."""
