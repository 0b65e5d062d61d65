"""The card of the tuberculosis task."""

from __future__ import annotations

from baselines.core.tasks import Metric, TaskCard

TYPES = {1: "Infiltrative", 2: "Focal", 3: "Tuberculoma", 4: "Miliary", 5: "Fibro-cavernous"}

CARDS = (
    TaskCard(
        id="tuberculosis",
        package="baselines.medical.tuberculosis",
        version="2021.1",
        predicts="TB type of a 3D CT",
        baseline="3D CNN classifier",
        unit="scan",
        splits=("train", "val", "all", "test"),
        metrics=(
            Metric("kappa", "Cohen's kappa, unweighted"),
            Metric("accuracy", "share of scans whose type is right"),
        ),
        secondary="accuracy",
        run_file="run.txt",  # this project's name: the campaign prescribed none that is known
        classes=TYPES,
        files=(
            "medical/tuberculosis/TrainSet_metaData.csv",
            "medical/tuberculosis/train/TRN_*.nii.gz",
            "medical/tuberculosis/train-masks1/TRN_*.nii.gz",
            "medical/tuberculosis/train-masks2/TRN_*.nii.gz",
            "medical/tuberculosis/test/TST_*.nii.gz",
            "medical/tuberculosis/test-masks1/TST_*.nii.gz",
            "medical/tuberculosis/test-masks2/TST_*.nii.gz",
        ),
        example_ids=("TST_0001.nii.gz", "TST_0002.nii.gz"),
        example_truth="FileName,TypeOfTB\nTST_0001.nii.gz,1\nTST_0002.nii.gz,3\n",
    ),
)
