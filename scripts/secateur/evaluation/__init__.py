"""Evaluation on labelled images, and inference on unlabelled ones."""
