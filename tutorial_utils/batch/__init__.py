"""Notebooks in batch: all lessons, or one notebook with many parameters."""
