"""Masks through a video."""
