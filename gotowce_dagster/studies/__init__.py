"""Experiments whose result is a report."""
