"""A small generated data set for the tests of the caption package."""

import pytest

from baselines.medical.caption.records import CONCEPTS
from baselines.medical.caption.samples import generate


@pytest.fixture(scope="session")
def caption_root(tmp_path_factory):
    """A data root with 24 training images; tests must not change it."""
    root = tmp_path_factory.mktemp("caption_samples")
    generate(root, CONCEPTS, size=24)
    return root
