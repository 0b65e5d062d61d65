"""A tiny task in a distribution of its own: classify points. It stands in for the real tasks in the tests of the loop."""


def settings(points):
    """Return a configuration of the task that trains in a second, as a plain dictionary."""
    return {
        "task": "toy",
        "experiment": "toy",
        "bootstrap": 20,
        "pictures": 2,
        "data": {"root": str(points), "batch_size": 4, "eval_batch_size": 8, "workers": 0},
        "model": {},
        "optimizer": {"lr": 0.01, "warmup_steps": 3, "ema_decay": 0.9},
        "trainer": {
            "max_steps": 20,
            "validate_every": 7,
            "log_every": 5,
            "accelerator": "cpu",
            "threads": 1,
            "progress": "none",
            "checkpoint_seconds": 0,
        },
    }
