"""How sure a trained model may be: probabilities, intervals and sets that keep what they promise.

`temperature_scaling`, `conformal_regression` and `conformal_classification` learn from rows that the model was not
trained on, and return small immutable models with predictions of their own, which save with the model in one file.
`reliability` shows whether probabilities are right, `mc_dropout` how far predictions go apart when dropout stays on.
"""

from whet.calibration.conformal import (
    ConformalClassifier,
    ConformalRegressor,
    conformal_classification,
    conformal_regression,
)
from whet.calibration.dropout import DropoutPredictions, mc_dropout
from whet.calibration.reliability import Reliability, expected_calibration_error, reliability
from whet.calibration.temperature import TemperatureScaled, temperature_scaling

__all__ = [
    "ConformalClassifier",
    "ConformalRegressor",
    "DropoutPredictions",
    "Reliability",
    "TemperatureScaled",
    "conformal_classification",
    "conformal_regression",
    "expected_calibration_error",
    "mc_dropout",
    "reliability",
    "temperature_scaling",
]
