"""A training loop of one's own: hard rows more often, a rate that follows the validation loss, the best model kept.

Each epoch draws its rows with the probability of their last error, and weighs them so that the mean stays right.
"""

import numpy as np

import whet
from whet import data, nn, optim

train, validation, test = data.split(data.load_california_housing(), sizes=(0.6, 0.2, 0.2), seed=0)
preprocessor, scaler = data.Preprocessor().fit(train), data.TargetScaler().fit(train.labels)
(X, y), (X_held, y_held), (X_test, _) = (
    (preprocessor.transform(part), scaler.transform(part.labels)) for part in (train, validation, test)
)

model = nn.MLP(X.shape[1], (64, 64), 1).initialize(seed=0)
rng = np.random.default_rng(0)
rate, best, best_state, waited = 0.01, np.inf, model.state_dict(), 0
trainer = whet.Trainer(model, loss="mse", optimizer=optim.Adam(lr=rate))
for epoch in range(30):
    error = np.abs(model.predict(X)[:, 0] - y) + 0.1
    chance = 0.5 / len(X) + 0.5 * error / error.sum()  # half of the rows evenly, so that none is forgotten
    drawn = rng.choice(len(X), size=len(X), p=chance / chance.sum())
    weights = 1 / (chance[drawn] * len(X))
    for begin in range(0, len(X), 256):
        rows = slice(begin, begin + 256)
        trainer.step(X[drawn[rows]], y[drawn[rows]], sample_weight=weights[rows])

    loss = trainer.evaluate(X_held, y_held)["loss"]
    if loss < best:
        best, waited = loss, 0
        best_state = {name: values.copy() for name, values in model.state_dict().items()}
    else:
        waited += 1
    if waited == 3:  # a new Trainer begins with new moments, too
        model.load_state_dict(best_state)
        rate, waited = rate / 3, 0
        trainer = whet.Trainer(model, loss="mse", optimizer=optim.Adam(lr=rate))
        print(f"epoch {epoch + 1}: back to the best parameters, on with a rate of {rate:.4f}")

model.load_state_dict(best_state)
dollars = scaler.inverse(model.predict(X_test)[:, 0])
print(f"validation loss {best:.4f}, test RMSE {whet.metrics.rmse(test.labels, dollars):,.0f} dollars")
