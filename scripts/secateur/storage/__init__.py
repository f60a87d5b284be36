"""Atomic files, locks, tables and the status log."""
