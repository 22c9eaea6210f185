"""Decoding videos and measuring their frames."""
