"""A module of one's own after TabNet (Arik and Pfister, AAAI 2021): each step looks at some columns and says at which.

The masks are a second output of the model, and a loss of one's own keeps them narrow. softmax stands for sparsemax.
"""

import numpy as np

from whet import data, metrics, nn, optim, schedules
from whet.nn import functional as F


class Step(nn.Module):
    """Chooses columns by what it knows so far, and makes features of them."""

    def __init__(self, columns, width):
        self.choose, self.norm = nn.Linear(width, columns), nn.BatchNorm1d(columns)
        self.make = nn.Sequential(nn.Linear(columns, 2 * width), nn.BatchNorm1d(2 * width), nn.GLU())

    def forward(self, x, known, free):
        mask = F.softmax(self.norm(self.choose(known)) + F.log(free))
        return self.make(x * mask), mask


class Attentive(nn.Module):
    """The sum over steps of what they made; and beside it, the mean of their masks."""

    def __init__(self, columns, width=32, steps=3, relaxation=1.3):
        self.columns, self.relaxation = columns, relaxation
        self.norm = nn.BatchNorm1d(columns)
        self.first = nn.Sequential(nn.Linear(columns, 2 * width), nn.GLU())
        self.steps = [Step(columns, width) for _ in range(steps)]
        self.last = nn.Linear(width, 1)

    def forward(self, x):
        x = self.norm(x)
        known, total, masks, free = self.first(x), 0.0, [], x * 0.0 + 1.0
        for step in self.steps:
            known, mask = step(x, known, free)
            free = free * F.clamp(self.relaxation - mask, min=1e-6)  # a column that was looked at is tired
            total = total + F.maximum(known, 0.0)
            masks.append(mask)
        return self.last(total), sum(masks[1:], masks[0]) / len(masks)


def loss(prediction, y):
    """Squared error, and a little of the masks' entropy."""
    value, mask = prediction
    return (value - y) ** 2 - 0.03 * (mask * F.log(mask + 1e-6)).sum(axis=1, keepdims=True)


train, test = data.split(data.load_california_housing(), sizes=(0.8, 0.2), seed=0)
preprocessor, scaler = data.Preprocessor().fit(train), data.TargetScaler().fit(train.labels)
X, y = preprocessor.transform(train), scaler.transform(train.labels)

model = Attentive(X.shape[1])
optimizer = optim.AdamW(lr=schedules.OneCycle(0.02), clip_norm=1.0)
model.fit(X, y, loss=loss, optimizer=optimizer, epochs=15, seed=0)

X_test = preprocessor.transform(test)
value, mask = model.predict(X_test)
through = (mask * np.abs(X_test - X.mean(axis=0)) / X.std(axis=0)).mean(axis=0)  # of each column, in deviations
print(f"test RMSE {metrics.rmse(test.labels, scaler.inverse(value[:, 0])):,.0f} dollars; most of these gets through:")
for column in through.argsort()[::-1][:5]:
    print(f"  {preprocessor.feature_names[column]:28} {through[column] / through.sum():.0%}")
