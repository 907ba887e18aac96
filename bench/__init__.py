"""Measurements of the whole dashboard, one module per question; the tests never run them (docs/performance.md)."""
