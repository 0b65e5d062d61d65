"""Accuracy, and a picture of a point."""

from PIL import Image


def draw(sample, prediction, classes):
    right = prediction.label == sample.truth
    return Image.new("RGB", (8, 8), "green" if right else "red")
