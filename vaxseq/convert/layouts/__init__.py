"""Layouts: what stands around the rows of a text file: headers, units, comments, footers, and how bytes are text."""
