"""The live engine: a performer process that plays, a sampler process that draws, and the host that looks after both.

See docs/live.md for who owns what.
"""
