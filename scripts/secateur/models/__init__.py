"""Model files and graphs of layers."""
