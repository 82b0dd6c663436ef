"""Runs and measures, BM25, the faiss index, interpolation."""
