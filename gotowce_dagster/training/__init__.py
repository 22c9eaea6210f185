"""Crops, rounds and fine-tuning."""
