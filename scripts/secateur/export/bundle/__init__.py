"""What lies beside an exported model, so that no number of it has to be typed again."""
