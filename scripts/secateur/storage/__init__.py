"""Files that are whole or absent, locks, tables, the status log."""
