"""Which items are in which batch: pure NumPy, without I/O."""
