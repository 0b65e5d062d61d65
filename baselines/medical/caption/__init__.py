"""Concepts and captions of radiology images."""
