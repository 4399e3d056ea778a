"""Backpropagation through time, taken apart."""

from . import by_hand

__all__ = ["by_hand"]
