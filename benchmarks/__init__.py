"""Measurements: ratios against plain SQLite and a bare app, every row from the same run."""
