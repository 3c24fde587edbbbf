"""Prices with an interval: one model learns three quantiles, and the test rows say how often the truth lies between."""

import numpy as np

from whet import callbacks, data, losses, nn, optim

train, validation, test = data.split(data.load_california_housing(), sizes=(0.7, 0.1, 0.2), seed=0)
preprocessor, scaler = data.Preprocessor().fit(train), data.TargetScaler().fit(train.labels)
X, held_out, X_test = (preprocessor.transform(part) for part in (train, validation, test))

model = nn.MLP(X.shape[1], (128, 128), 3, dropout=0.1)
history = model.fit(
    X,
    scaler.transform(train.labels),
    loss=losses.QuantileLoss((0.1, 0.5, 0.9)),
    optimizer=optim.AdamW(lr=0.003, groups={"*.bias": {"weight_decay": 0.0}}),
    epochs=40,
    validation_data=(held_out, scaler.transform(validation.labels)),
    callbacks=[
        callbacks.ReduceLROnPlateau(factor=0.3, patience=3),
        callbacks.EarlyStopping(patience=8, restore_best_weights=True),
    ],
    seed=0,
)
low, middle, high = (scaler.inverse(column) for column in np.sort(model.predict(X_test)).T)
truth = np.asarray(test.labels, float)
print(f"{len(history['loss'])} epochs, stopped by {history.stopped_by}, best epoch {history.best_epoch}")
print(f"{np.mean((low <= truth) & (truth <= high)):.1%} of the test rows lie in their 80 % interval")
print(f"half of the intervals are narrower than {np.median(high - low):,.0f} dollars")
for row in range(3):
    print(f"  {low[row]:9,.0f} to {high[row]:9,.0f}, middle {middle[row]:9,.0f}, truth {truth[row]:9,.0f}")
