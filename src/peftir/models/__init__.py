"""Bi-encoders and cross-encoders: building, running, saving and loading them."""
