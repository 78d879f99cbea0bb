"""Adapting the voice to a singer: from recordings to a preset, in a window of its own."""
