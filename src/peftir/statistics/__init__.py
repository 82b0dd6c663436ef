"""Tests, intervals and comparisons."""
