"""The score as immutable values: passages, presets, edits, history, and what they resolve to."""
