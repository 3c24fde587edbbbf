"""whet demo: a training on the bundled data."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from whet.cli.arguments import Commands, count, seed
from whet.cli.messages import describe, describe_network, line, watched

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from whet.data import Dataset

__all__ = ["add"]


def add(commands: Commands) -> None:
    """Add the command to those of the parser."""
    parser = commands.add_parser("demo", help="train on the bundled California housing data, and say what was done")
    parser.add_argument(
        "--epochs", type=count, metavar="N", default=40, help="passes over the training rows (%(default)s)"
    )
    parser.add_argument("--seed", type=seed, metavar="N", default=0, help="of the split and the training (%(default)s)")
    parser.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> None:
    import time

    import numpy as np

    from whet import data, metrics
    from whet.tabular import TabularModel

    start = time.perf_counter()
    table = data.load_california_housing()
    parts = data.split(table, sizes=(0.72, 0.08, 0.2), seed=arguments.seed)
    train, validation, test = parts
    line("table", f"California housing: {describe(table)}")
    line(
        "split",
        f"{train.rows:,} training, {validation.rows:,} validation, {test.rows:,} test rows, seed {arguments.seed}",
    )

    model = TabularModel(table.target or "")
    history = model.fit(
        train, validation_data=validation, epochs=arguments.epochs, seed=arguments.seed, progress=watched()
    )
    truth = _numbers(test)
    predicted = {
        "mean of training rows": np.full(test.rows, _numbers(train).mean()),
        "least squares": _least_squares(
            model.preprocessor.transform(train), _numbers(train), model.preprocessor.transform(test)
        ),
        "whet": model.predict(test),
    }
    total = time.perf_counter() - start

    line(
        "preprocessing",
        f"{train.columns} columns to {len(model.preprocessor.feature_names)} features, fitted on the training rows:",
    )
    line("", "gaps filled with the median and marked, numbers scaled by quartiles and clipped smoothly,")
    line("", "categories one-hot, target standardised")
    line("model", describe_network(model))
    line("losses", "mean squared error of the standardised target")
    for epoch, (loss, held) in enumerate(zip(history["loss"], history["val_loss"], strict=True), 1):
        if epoch in (1, len(history["loss"])) or epoch % 5 == 0:
            line(f"  epoch {epoch}", f"training {loss:.4f}  validation {held:.4f}")
    line("time", f"{history.seconds:.1f} s of training, {total:.1f} s from table to test error")
    line("test rows", f"{'RMSE (dollars)':>14}  {'R2':>6}")
    errors = {name: metrics.rmse(truth, values) for name, values in predicted.items()}
    for name, values in predicted.items():
        line(f"  {name}", f"{errors[name]:>14,.0f}  {metrics.r2(truth, values):>6.3f}")
    change = 1 - errors["whet"] / errors["least squares"]
    print(f"whet's test RMSE is {abs(change):.1%} {'below' if change >= 0 else 'above'} that of least squares.")


def _least_squares(
    X: npt.NDArray[np.float32], y: npt.NDArray[np.float64], X_test: npt.NDArray[np.float32]
) -> npt.NDArray[np.float64]:
    """Fit a linear model with intercept, and predict: shape (rows of X_test,)."""
    import numpy as np

    design, test = (np.column_stack([part, np.ones(len(part))]).astype(np.float64) for part in (X, X_test))
    prediction: npt.NDArray[np.float64] = test @ np.linalg.lstsq(design, y, rcond=None)[0]
    return prediction


def _numbers(table: Dataset) -> npt.NDArray[np.float64]:
    import numpy as np

    return np.asarray(table.labels, np.float64)
