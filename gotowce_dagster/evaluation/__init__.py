"""Predictions compared with ground truth."""
