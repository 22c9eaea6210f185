"""The stages: one run each."""
