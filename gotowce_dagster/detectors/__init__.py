"""Detectors of designators and targets."""
