"""Backbones as flat functional graphs of plain Keras layers."""

from secateur.zoo.build import build, freeze

__all__ = ["build", "freeze"]
