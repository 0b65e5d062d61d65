"""Write a split of a drawnUI data set as a COCO file, for detectors that want one (detectron2, MMDetection and the like).

python scripts/drawnui_coco.py drawnui-wireframe /path/to/data train train.json
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from baselines.core.findings import Findings, InvalidInput, UsageError
from baselines.core.outputs import check_outputs, refuse_within, write_json_atomic
from baselines.drawnui.records import TruthSet, export_coco, read_split
from baselines.drawnui.task import CARDS


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the images of the split that exist; return 0, 1 if data or OUT can't be used, or 2 if data would be overwritten."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("task", metavar="TASK", choices=[card.id for card in CARDS], help="a drawnUI task")
    parser.add_argument("root", metavar="ROOT", type=Path, help="data root, as for imageclef train")
    parser.add_argument("split", metavar="SPLIT", choices=["train", "val", "all"], help="train, val or all")
    parser.add_argument("out", metavar="OUT", type=Path, help="JSON file to write")
    args = parser.parse_args(arguments)
    findings = Findings()
    try:
        check_outputs([], [("OUT", args.out)])
        refuse_within(args.root, [("OUT", args.out)])
        split = read_split(args.root, args.task, args.split, findings)
        findings.raise_errors()
        print(*findings.summary(), sep="\n", end="\n" if len(findings) else "", file=sys.stderr)
        present = {sample.id: split.truth_set.truths[sample.id] for sample in split.samples}
        write_json_atomic(args.out, export_coco(TruthSet(present, split.truth_set.classes)))
    except InvalidInput as error:
        print(error, file=sys.stderr)
        return 1
    except (UsageError, OSError) as error:
        print(f"{parser.prog}: {error}", file=sys.stderr)
        return 2
    boxes = sum(len(truth.labels) for truth in present.values())
    print(f"{args.out}: {len(present)} images, {boxes} boxes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
