"""What ran out while a command was at work (disk, memory, another process), as a finding that says what to do."""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch

from baselines.core.findings import InvalidInput, invalid

# What PyTorch says, which has a class of its own only for what its allocator on a GPU lacks.
OUT_OF_MEMORY = ("DefaultCPUAllocator", "CUDA error: out of memory")
SHARED_MEMORY = "</torch_"  # a file in /dev/shm, by which a loader process hands over a batch
DEAD_LOADER = ("killed by signal", "exited unexpectedly")  # which of them depends on who notices first; it had no exception
NO_SPACE = "No space left"


@dataclass(frozen=True, slots=True)
class Remedies:
    """What the user of a command can do about each thing that runs out: the hints of the findings.

    Attributes:
        space: The disk.
        memory: The memory of the machine or of a GPU.
        loaders: The memory of the loader processes, or what they share.
        process: Another process of the same run, where there is one.
    """

    space: str
    memory: str
    loaders: str
    process: str = ""


@contextlib.contextmanager
def explained(work: Path | str, remedies: Remedies, disk: Path | None = None) -> Iterator[None]:
    """Tell what runs out within as a finding.

    Args:
        work: What was at work, such as a run folder: what the finding is about.
        remedies: What can be done about it.
        disk: A folder on the disk that is written to, if not that of ``work``: what a finding about a full disk is about.

    Raises:
        InvalidInput: If something runs out; every other exception stays what it is.
    """
    try:
        yield
    except InvalidInput:
        raise
    except Exception as error:
        finding = _exhausted(error, work, remedies, disk or work)
        if finding is None:
            raise
        raise finding from error


def _exhausted(error: Exception, work: Path | str, remedies: Remedies, disk: Path | str) -> InvalidInput | None:
    text, number = str(error), error.errno if isinstance(error, OSError) else None
    if "DataLoader worker" in text and any(said in text for said in DEAD_LOADER):
        return invalid("RUN-NO-MEMORY", "a loader process was killed", file=work, value=text, hint=remedies.loaders)
    if SHARED_MEMORY in text and (NO_SPACE in text or "Cannot allocate memory" in text):
        return invalid("RUN-NO-MEMORY", "shared memory is full", file=work, value=text, hint=remedies.loaders)
    if number in (errno.ENOSPC, errno.EDQUOT) or NO_SPACE in text:
        return invalid("RUN-NO-SPACE", "the disk is full", file=disk, value=text, hint=remedies.space)
    if "PytorchStreamWriter" in text:
        message = "a checkpoint could not be written; is the disk full?"
        return invalid("RUN-NO-SPACE", message, file=disk, value=text, hint=remedies.space)
    is_memory = isinstance(error, torch.OutOfMemoryError | MemoryError) or number == errno.ENOMEM
    if is_memory or any(said in text for said in OUT_OF_MEMORY):
        return invalid("RUN-NO-MEMORY", "out of memory", file=work, value=text, hint=remedies.memory)
    if isinstance(error, torch.distributed.DistError) or "gloo/transport" in text:
        message = "another process of this run can't be reached"
        return invalid("RUN-LOST-PROCESS", message, file=work, value=text, hint=remedies.process)
    return None
