"""A perceptron with dropout and batch normalisation: all that a resume could get wrong."""

import torch
from torch import nn
from torch.nn import functional as F

from baselines.training.module import BaselineModule
from imageclef_toy.records import Prediction


def build_module(config, data):
    return ToyModule(config, data)


def pretrained_weights(config):
    return [f"timm/{config.model.name}"]


class ToyNetwork(nn.Module):
    def __init__(self, width, classes, *, plain):
        super().__init__()
        # Without what depends on how a batch is divided, several processes give what one gives.
        extras = (nn.Identity(), nn.Identity()) if plain else (nn.BatchNorm1d(width), nn.Dropout(0.2))
        self.body = nn.Sequential(nn.Linear(2, width), extras[0], nn.ReLU(), extras[1])
        self.head = nn.Linear(width, classes)
        self.register_buffer("memory_points", torch.empty(0, 2))
        self.register_buffer("memory_scores", torch.empty(0, classes))

    def forward(self, points):
        return self.head(self.body(points))


class ToyModule(BaselineModule):
    class_dependent = ("head.",)
    fitted = ("memory_",)

    def __init__(self, config, data):
        super().__init__(config, ToyNetwork(config.model.width, len(data.classes), plain=config.model.name == "plain"))

    def losses(self, batch):
        logits = self(batch["points"])
        return {"class": F.cross_entropy(logits, batch["labels"]), "size": logits.square().mean() * 1e-3}

    def calibrate(self, data):
        if self.config.model.name == "nearest":
            batches = list(data.loader(data.predict_dataset("train")))
            self.network.memory_points = torch.cat([batch["points"] for batch in batches])
            labels = torch.cat([batch["labels"] for batch in batches])
            self.network.memory_scores = F.one_hot(labels, len(data.classes)).float()

    def decode(self, batch):
        if len(self.active.memory_points):
            nearest = torch.cdist(batch["points"], self.active.memory_points).argmin(1)
            scores = self.active.memory_scores[nearest].cpu().numpy()
        else:
            scores = self(batch["points"]).softmax(1).cpu().numpy()
        return [Prediction(name, int(row.argmax()) + 1, row) for name, row in zip(batch["ids"], scores, strict=True)]

    def reset_validation(self):
        self.counts = torch.zeros(2)

    def update_validation(self, batch, predictions):
        labels = (batch["labels"] + 1).tolist()
        right = sum(prediction.label == label for prediction, label in zip(predictions, labels, strict=True))
        self.counts += torch.tensor([right, len(labels)])

    def compute_validation(self):
        right, count = self.sum_over_processes(self.counts).tolist()
        return {"accuracy": right / count}
