"""Files to write: whole or not at all, into folders that are there, and over nothing that is read."""

import json
import os
import re
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from baselines.core.findings import InvalidInput
from baselines.core.outputs import STDOUT, check_outputs, write_atomic, write_json_atomic


@pytest.fixture
def path(tmp_path):
    return tmp_path / "file"


class TestWriting:
    def test_text_is_utf_8_with_its_own_line_ends(self, path):
        write_atomic(path, "é\r\n\n")
        assert path.read_bytes() == "é\r\n\n".encode()

    def test_bytes_and_missing_folders(self, tmp_path):
        write_atomic(tmp_path / "a" / "b" / "file", b"\0\xff")
        assert (tmp_path / "a" / "b" / "file").read_bytes() == b"\0\xff"

    def test_an_interrupted_write_leaves_the_old_file_and_nothing_else(self, path, monkeypatch):
        path.write_text("old")

        def interrupt(descriptor):
            raise KeyboardInterrupt

        monkeypatch.setattr(os, "fsync", interrupt)
        with pytest.raises(KeyboardInterrupt):
            write_atomic(path, "new")
        assert [entry.name for entry in path.parent.iterdir()] == ["file"]
        assert path.read_text() == "old"

    def test_others_may_read_what_they_could_read_of_a_plain_file(self, tmp_path):
        (tmp_path / "plain").write_text("")
        write_atomic(tmp_path / "atomic", "")
        modes = {stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("plain", "atomic")}
        assert len(modes) == 1

    def test_json(self, path):
        write_json_atomic(path, {"a": [1, None, "é"]})
        assert json.loads(path.read_text(encoding="utf-8")) == {"a": [1, None, "é"]}
        assert path.read_text(encoding="utf-8").endswith("}\n")

    def test_nan_is_refused_and_the_old_file_stays(self, path):
        path.write_text("old")
        with pytest.raises(ValueError, match="JSON"):
            write_json_atomic(path, [float("nan")])
        assert path.read_text() == "old"


def test_links_permissions_and_devices_outlive_writing(tmp_path):
    real, link = tmp_path / "real.json", tmp_path / "latest.json"
    real.write_text("old")
    real.chmod(0o600)
    link.symlink_to(real)
    write_atomic(link, "new")
    assert link.is_symlink()
    assert real.read_text() == "new"
    assert real.stat().st_mode & 0o777 == 0o600
    write_atomic(Path(os.devnull), "gone")
    assert Path(os.devnull).is_char_device()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["latest.json", "real.json"]


def test_a_pipe_gets_what_is_written(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        write_atomic(pipe, "through")
        assert os.read(reader, 100) == b"through"
        assert pipe.is_fifo()
    finally:
        os.close(reader)


def test_standard_output_is_appended_to_where_the_shell_appends(tmp_path):
    kept = tmp_path / "kept"
    kept.write_text("before\n")
    program = "from baselines.core.outputs import STDOUT, write_atomic; write_atomic(STDOUT, 'after')"
    with kept.open("a") as output:
        subprocess.run([sys.executable, "-c", program], stdout=output, check=True)
    assert kept.read_text() == "before\nafter"


def test_outputs_have_a_folder(tmp_path):
    file, folder = tmp_path / "file", tmp_path / "folder"
    file.write_text("")
    folder.mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "gone" / "x")
    check_outputs([], [("--a", folder / "new"), ("--b", file), ("--c", Path(os.devnull)), ("--d", STDOUT), ("--e", None)])
    for path, place, said in (
        (file / "x" / "y", file, "--json needs a folder here, and this is a file"),
        (folder / "no" / "such" / "x", folder / "no" / "such", "--json needs this folder, and there is none"),
        (tmp_path / "link", tmp_path / "gone", "--json needs this folder, and there is none"),
        (folder, folder, "--json needs a file, and this is a folder"),
    ):
        with pytest.raises(InvalidInput, match=f"^{re.escape(str(place))}: OUTPUT-PATH {said}"):
            check_outputs([], [("--json", path)])


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes everywhere")
def test_outputs_have_a_folder_that_takes_files(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(InvalidInput, match="can be written to"):
        check_outputs([], [("--json", tmp_path / "x")])


def test_a_folder_is_not_written_over(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for folder in (Path(), tmp_path):
        with pytest.raises(IsADirectoryError):
            write_atomic(folder, "text")
    assert not list(tmp_path.iterdir())
