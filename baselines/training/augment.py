"""albumentations and OpenCV as loaders use them: without asking the network, and with one thread in each process."""

import os

os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")  # or importing it asks the network for a newer version

import albumentations as A
import cv2

cv2.setNumThreads(1)  # the loader's workers are the threads

__all__ = ["A", "cv2"]
