"""Editing tools as state machines: pointer in, preview and edits out. No Qt here."""
