"""Drawn user interfaces: boxes of UI elements in hand-drawn wireframes and in web screenshots."""
