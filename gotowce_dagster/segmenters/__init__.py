"""Masks from prompts."""
