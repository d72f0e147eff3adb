"""A deterministic simulation: the real use cases and file code over a disk, a store and a clock that fail.

One integer drives everything that happens; see ``docs/explanation/simulation.md``.
"""
