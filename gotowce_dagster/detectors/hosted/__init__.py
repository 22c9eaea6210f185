"""Detectors behind an HTTP server: requests, responses, prices."""
