"""Measurements, each a module with a `main()` that prints its figures; the last line is ``name=value``."""
