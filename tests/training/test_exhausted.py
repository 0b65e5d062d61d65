"""What runs out is told as a finding; whatever else is raised stays what it is."""

from __future__ import annotations

import errno
import os
import signal
from pathlib import Path

import pytest
import torch
from torch.utils.data import DataLoader

from baselines.core.findings import InvalidInput, invalid
from baselines.training.exhausted import Remedies, explained

REMEDIES = Remedies("free some space", "free some memory", "load less", "look at the other")
PLACE = Path("folder")


def told(error):
    with pytest.raises(InvalidInput) as caught, explained(PLACE, REMEDIES):
        raise error
    assert caught.value.__cause__ is error
    (found,) = caught.value.findings
    assert found.file == str(PLACE)
    return found.code, found.hint


@pytest.mark.parametrize(
    ("error", "code", "hint"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "RUN-NO-SPACE", REMEDIES.space),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), "RUN-NO-SPACE", REMEDIES.space),
        (OSError("Caught OSError in DataLoader worker process 0 … [Errno 28] No space left"), "RUN-NO-SPACE", REMEDIES.space),
        (RuntimeError("PytorchStreamWriter failed writing file data/0"), "RUN-NO-SPACE", REMEDIES.space),
        (torch.OutOfMemoryError("CUDA out of memory"), "RUN-NO-MEMORY", REMEDIES.memory),
        (RuntimeError("CUDA error: out of memory"), "RUN-NO-MEMORY", REMEDIES.memory),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory"), "RUN-NO-MEMORY", REMEDIES.memory),
        (MemoryError(), "RUN-NO-MEMORY", REMEDIES.memory),
        (OSError(errno.ENOMEM, "Cannot allocate memory"), "RUN-NO-MEMORY", REMEDIES.memory),
        (RuntimeError("DataLoader worker (pid 7) is killed by signal: Killed."), "RUN-NO-MEMORY", REMEDIES.loaders),
        (RuntimeError("DataLoader worker (pid(s) 7) exited unexpectedly"), "RUN-NO-MEMORY", REMEDIES.loaders),
        (RuntimeError("unable to write to file </torch_7>: No space left on device (28)"), "RUN-NO-MEMORY", REMEDIES.loaders),
        (
            RuntimeError("unable to mmap from </torch_7>: Cannot allocate memory (12)"),
            "RUN-NO-MEMORY",
            REMEDIES.loaders,
        ),
        (RuntimeError("[gloo/transport/tcp/pair.cc:545] Read error"), "RUN-LOST-PROCESS", REMEDIES.process),
    ],
    ids=str,
)
def test_what_runs_out_is_told_with_what_to_do(error, code, hint):
    assert told(error) == (code, hint)


class Deadly(torch.utils.data.Dataset):
    """A data set whose process is killed, as by the kernel for its memory."""

    def __len__(self):
        return 1

    def __getitem__(self, index):
        os.kill(os.getpid(), signal.SIGKILL)


def test_a_loader_process_that_is_killed_while_its_batch_is_waited_for():
    with pytest.raises(InvalidInput, match="a loader process was killed") as caught, explained(PLACE, REMEDIES):
        next(iter(DataLoader(Deadly(), num_workers=1)))
    assert [(found.code, found.hint) for found in caught.value.findings] == [("RUN-NO-MEMORY", REMEDIES.loaders)]


def test_a_full_disk_is_told_of_where_it_is():
    with pytest.raises(InvalidInput) as caught, explained("the task", REMEDIES, disk=PLACE):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert [found.file for found in caught.value.findings] == [str(PLACE)]


@pytest.mark.parametrize(
    "error", [ValueError("a bug"), OSError(errno.EACCES, "Permission denied"), invalid("DATA-X", "No space left")], ids=str
)
def test_everything_else_stays_what_it_is(error):
    with pytest.raises(type(error)) as caught, explained(PLACE, REMEDIES):
        raise error
    assert caught.value is error
