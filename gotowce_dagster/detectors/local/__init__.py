"""Detectors that run on this machine."""
