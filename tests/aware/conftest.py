"""A small generated data set of the aware task, which tests must not change."""

import pytest

from baselines.aware.samples import generate


@pytest.fixture(scope="session")
def aware_root(tmp_path_factory):
    root = tmp_path_factory.mktemp("aware")
    generate(root, "aware", size=45)
    return root
