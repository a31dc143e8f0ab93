"""PURE decisions: each takes values and returns what, and why. No clock, disk, process or environment."""
