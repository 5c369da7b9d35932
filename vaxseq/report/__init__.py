"""Plots, tables and the HTML report."""
