"""Detectors compared by accuracy and cost."""
