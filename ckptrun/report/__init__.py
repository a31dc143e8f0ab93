"""Runs, attempts and checkpoints as text and JSON."""
