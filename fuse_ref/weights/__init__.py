"""Weights: stores that hold them and initialisers that make them."""
