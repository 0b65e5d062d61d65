"""The card of the tuberculosis task, and its part of the configuration."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from baselines.core import config
from baselines.core.config import Count, PositiveInt, Range, Share
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

GridSide = Annotated[int, Range(16, 512)]


@dataclass(frozen=True, kw_only=True)
class DataConfig(config.DataConfig):
    """How scans are divided, prepared, drawn and augmented.

    Attributes:
        grid: Voxels of a prepared scan towards head, front and right; the lungs with a margin are stretched to it.
        folds: Into how many folds to divide the labelled scans; ``None`` holds ``val_share`` of them out instead.
        fold: Which fold is held out, from 0.
        tune_share: Share of the training scans set aside, on which the best step is chosen and the decision rule is tuned, so
            that nothing is chosen on the scans that are reported.
        balance: How far rare types are drawn more often: 0 not at all, 1 as often as the most frequent.
        mirror: Whether left and right are exchanged at random.
        rotate: Largest random rotation about each axis, in degrees.
        scale: Largest random change of size along each axis, as a share.
        shift: Largest random shift along each axis, as a share of the grid.
        gamma: Largest random exponent of the intensities; its inverse is the least.
        noise: Largest standard deviation of added noise, in HU.
        blur: Largest random blur, as the standard deviation in voxels.
    """

    grid: tuple[GridSide, GridSide, GridSide] = (96, 160, 192)
    folds: Annotated[int, Range(2, 50)] | None = None
    fold: Count = 0
    tune_share: Annotated[float, Range(0.01, 0.5)] = 0.15
    balance: Share = 0.5
    mirror: bool = True
    rotate: Annotated[float, Range(0, 45)] = 10.0
    scale: Annotated[float, Range(0, 0.5)] = 0.1
    shift: Annotated[float, Range(0, 0.5)] = 0.05
    gamma: Annotated[float, Range(1, 3)] = 1.2
    noise: Annotated[float, Range(0, 200)] = 30.0
    blur: Annotated[float, Range(0, 3)] = 0.7


@dataclass(frozen=True, kw_only=True)
class ModelConfig(config.ModelConfig):
    """The classifier.

    Attributes:
        name: ``resnet`` and ``densenet`` are MONAI's in 3D, ``slices`` is a transformer over slices that a timm encoder sees.
        depth: Layers: 10, 18, 34, 50, 101 or 152 of ``resnet``; 121, 169, 201 or 264 of ``densenet``.
        width: Channels of the first stage of a 3D network.
        stem_stride: Stride of a 3D ResNet's first convolution along each axis.
        stem_pool: Whether a 3D ResNet halves the grid once more behind it.
        mask_channel: Whether a 3D network sees the lung mask beside the CT.
        backbone: Name of a timm encoder of ``slices``.
        stack: Neighbouring slices that ``slices`` sees at once, as channels.
        layers: Layers of its transformer.
        heads: Heads of its attention.
        dropout: Dropout before the classifier, and in the transformer.
        label_smoothing: Share of the target spread over all types.
        mixup: Parameter of the beta distribution that pairs of scans are mixed by (Zhang et al. 2018); 0 mixes none.
        views: Views of a scan whose predictions are averaged: 1 is the scan, 2 also its mirror image.
    """

    name: Literal["resnet", "densenet", "slices"] = "resnet"
    depth: PositiveInt = 18
    width: Annotated[int, Range(4, 256)] = 64
    stem_stride: Annotated[int, Range(1, 2)] = 2
    stem_pool: bool = True
    mask_channel: bool = True
    backbone: str = "convnext_tiny"
    stack: PositiveInt = 3
    layers: PositiveInt = 2
    heads: PositiveInt = 8
    dropout: Annotated[float, Range(0, 0.9)] = 0.2
    label_smoothing: Annotated[float, Range(0, 0.5)] = 0.05
    mixup: Annotated[float, Range(0, 10)] = 0.2
    views: Annotated[int, Range(1, 2)] = 2
