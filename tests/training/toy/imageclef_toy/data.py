"""Points to tensors, jittered in training."""

import hashlib

import numpy as np
import torch
from torch.utils.data import Dataset

from baselines.training.data import BaselineDataModule, Draw
from imageclef_toy import records


def build_data(config, classes=None):
    return ToyData(config, classes)


class Points(Dataset):
    def __init__(self, samples):
        self.samples = samples

    def __len__(self):
        return len(self.samples)

    def __getitem__(self, key):
        sample = self.samples[key.index if isinstance(key, Draw) else key]
        point = np.array(sample.point, np.float32)
        if isinstance(key, Draw):
            point += np.random.default_rng(key.seed).normal(0, 0.05, 2).astype(np.float32)
        return sample.id, point, sample.truth or 0


class ToyData(BaselineDataModule):
    def __init__(self, config, classes=None):
        super().__init__(config)
        self.classes = classes or records.CLASSES
        self.splits = {name: records.read_split(config.data.root, name) for name in ("train", "val", "test")}
        self.data_hash = hashlib.sha256(repr(self.splits).encode()).hexdigest()

    def split(self, name):
        return self.splits[name]

    def train_dataset(self):
        return Points(self.splits["train"].samples)

    def predict_dataset(self, split):
        return Points(self.splits[split].samples)

    def collate(self, items):
        ids, points, labels = zip(*items, strict=True)
        return {"ids": list(ids), "points": torch.from_numpy(np.stack(points)), "labels": torch.tensor(labels) - 1}
