"""Shared by all folders: errors, files, progress, tables, boxes, masks, weights."""
