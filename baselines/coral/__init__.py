"""Coral reefs: boxes and polygons of 13 substrates."""
