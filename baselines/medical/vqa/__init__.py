"""Answers to, and questions about, radiology images."""
