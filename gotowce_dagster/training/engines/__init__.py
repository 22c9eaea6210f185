"""Engines of the training: one file each."""
