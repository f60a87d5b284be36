"""The process: devices, signals, libraries that must be kept quiet."""
