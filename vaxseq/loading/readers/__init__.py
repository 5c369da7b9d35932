"""Readers of rows, one a file: what a loader asks for arrays."""
