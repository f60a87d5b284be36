"""Specs of TAO's task classification_pyt (PyTorch): how they are recognised, and converted as far as possible."""
