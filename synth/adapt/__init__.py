"""Adapting a voice to somebody's recordings: what is trained, how, and what it is worth. Never part of playing."""
