"""The process: its devices, its signals, its imports and the output of its libraries."""
