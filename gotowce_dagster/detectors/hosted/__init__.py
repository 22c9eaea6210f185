"""Detectors behind an HTTP server: requests, answers, money."""
