"""Dagster's assets, jobs, checks and sensors."""
