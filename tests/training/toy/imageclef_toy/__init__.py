"""A tiny task in a distribution of its own: classify points. It stands in for the real tasks in the tests of the loop."""
