"""Trackers, with the real libraries and without a network: numbers arrive, and a resume goes on in the same record."""

import json

import pytest

from baselines.training import loop

pytestmark = pytest.mark.filterwarnings("ignore")  # the libraries' own, about each other


@pytest.fixture
def track(toy_config, tmp_path, monkeypatch):
    """Return a function that carries out a run with a tracker, in two parts where it is to be resumed."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setenv("WANDB_SILENT", "true")
    monkeypatch.setenv("WANDB_MODE", "offline")

    def run(name):
        folder = tmp_path / "runs" / "toy"
        config = toy_config(logger=name, trainer__max_steps=4, trainer__validate_every=2, trainer__log_every=2)
        loop.run(config, folder)
        return folder

    return run


def test_mlflow_keeps_numbers_and_configuration(track, tmp_path):
    mlflow = pytest.importorskip("mlflow")
    folder = track("mlflow")
    remembered = json.loads((folder / "tracker.json").read_text())
    client = mlflow.MlflowClient(f"sqlite:///{tmp_path / 'runs' / 'mlflow.db'}")
    run = client.get_run(remembered["run_id"])
    assert run.data.params["trainer.max_steps"] == "4"
    assert [metric.step for metric in client.get_metric_history(run.info.run_id, "train/loss")] == [2, 4]
    assert [metric.step for metric in client.get_metric_history(run.info.run_id, "val/accuracy")] == [2, 4]
    # Started again, as after a kill before the end, it goes on in the same record.
    (folder / "scores.json").unlink()
    track("mlflow")
    assert json.loads((folder / "tracker.json").read_text()) == remembered


def test_weights_and_biases_works_offline(track):
    pytest.importorskip("wandb")
    folder = track("wandb")
    (offline,) = (folder / "wandb").glob("offline-run-*")
    assert json.loads((folder / "tracker.json").read_text())["run_id"] in offline.name
    assert list(offline.glob("*.wandb"))


def test_tensorboard_writes_its_events(track):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    folder = track("tensorboard")
    events = EventAccumulator(str(folder / "tensorboard"))
    events.Reload()
    assert [event.step for event in events.Scalars("val/accuracy")] == [2, 4]
