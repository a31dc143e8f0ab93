"""Checkpoints on disk: scan, manifest, verify, set aside, remove."""
