"""Files of a run that several processes or several attempts write."""

import json
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from baselines.training.callbacks import (
    Display,
    MetricsFile,
    Status,
    decode_prediction,
    encode_prediction,
    merge_shards,
    shard_path,
)


@dataclass(frozen=True)
class Prediction:
    id: str
    boxes: np.ndarray
    text: str = ""


@given(
    st.text(),
    st.sampled_from([np.float32, np.float64, np.int64, np.bool_]).flatmap(
        lambda kind: arrays.arrays(kind, arrays.array_shapes(min_dims=1, max_dims=2, min_side=0))
    ),
)
def test_predictions_survive_bit_for_bit(name, boxes):
    line = encode_prediction(Prediction(name, boxes, name))
    assert "\n" not in line
    back = decode_prediction(line, Prediction)
    assert (back.id, back.text, back.boxes.dtype, back.boxes.shape) == (name, name, boxes.dtype, boxes.shape)
    assert back.boxes.tobytes() == boxes.tobytes()


@dataclass(frozen=True)
class Nested:
    id: str
    parts: Prediction


def test_arrays_in_a_dataclass_of_a_dataclass_survive():
    line = encode_prediction(Nested("a", Prediction("b", np.arange(6, dtype=np.int16).reshape(2, 3))))
    back = decode_prediction(line, Nested)
    assert isinstance(back.parts, Prediction)
    assert (back.id, back.parts.id, back.parts.boxes.dtype) == ("a", "b", np.int16)
    assert back.parts.boxes.tolist() == [[0, 1, 2], [3, 4, 5]]


def write_shard(folder, process, *names):
    lines = [encode_prediction(Prediction(name, np.full(1, process))) for name in names]
    shard_path(folder, process).write_text("".join(line + "\n" for line in lines))


def test_shards_are_merged_by_id_and_padding_is_dropped(tmp_path):
    write_shard(tmp_path, 0, "a", "c", "e")
    write_shard(tmp_path, 1, "b", "d", "a")
    merged = merge_shards(tmp_path, 2, Prediction, ["e", "d", "c", "b", "a"])
    assert list(merged) == ["e", "d", "c", "b", "a"]
    assert merged["a"].boxes.tolist() == [0]


def test_a_missing_prediction_is_noticed(tmp_path):
    write_shard(tmp_path, 0, "a")
    with pytest.raises(RuntimeError, match="such as b"):
        merge_shards(tmp_path, 1, Prediction, ["a", "b"])


def test_metrics_after_a_resume_have_no_row_twice(tmp_path):
    path = tmp_path / "metrics.csv"
    for step, last in ((0, 10), (5, 12)):
        metrics = MetricsFile(path, step)
        for number in range(step + 1, last + 1):
            metrics.add(number, "train", {"loss": 1 / number})
        metrics.close()
    with path.open("a") as file:
        file.write("13,tra")  # cut off
    MetricsFile(path, 12).close()
    rows = path.read_text().splitlines()
    assert rows[0] == "step,part,name,value"
    assert [row.split(",")[0] for row in rows[1:]] == [str(number) for number in range(1, 13)]
    assert float(rows[3].split(",")[3]) == 1 / 3


def test_status(tmp_path):
    path = tmp_path / "status.json"
    Status(path, 10, writes=False).update(state="failed")
    assert not path.exists()
    Status(path, 10).update(phase="fit", step=3)
    fields = json.loads(path.read_text())
    assert (fields["state"], fields["phase"], fields["step"], fields["of"]) == ("running", "fit", 3, 10)


@pytest.mark.parametrize("content", [None, "", "[1]", '{"state": '])
def test_a_status_that_cannot_be_read_says_nothing(tmp_path, content):
    if content is not None:
        (tmp_path / "status.json").write_text(content)
    assert Status.read(tmp_path / "status.json") == {}


def test_progress_is_plain_lines_where_output_is_a_file(capsys):
    display = Display("auto", 10, 0)
    display.advance(1)
    display.row(2, {"loss": 0.5})
    display.close()
    assert capsys.readouterr().err == "step 2/10  loss 0.5\n"


def test_a_terminal_of_a_job_gets_lines(monkeypatch):
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    monkeypatch.setenv("SLURM_JOB_ID", "1")
    assert Display("auto", 10, 0).kind == "lines"
