"""Tuberculosis type of a 3D CT."""
