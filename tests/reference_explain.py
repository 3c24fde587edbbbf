"""Formulas of explanations and calibration, slow and clear, in float64."""

from __future__ import annotations

import math

import numpy as np


def integrated_gradients(gradient, x, baseline, steps):
    """(x - baseline) times the mean gradient on the way, as captum.attr with method="gausslegendre"."""
    nodes, weights = np.polynomial.legendre.leggauss(steps)
    mean = sum(w / 2 * gradient(baseline + (1 + a) / 2 * (x - baseline)) for a, w in zip(nodes, weights, strict=True))
    return (x - baseline) * mean


def permutation_importance(score, X, repeats, rng):
    """baseline - score of rows with a column shuffled, shape (columns, repeats); greater scores are better."""
    found = np.empty((X.shape[1], repeats))
    for column in range(X.shape[1]):
        for repeat in range(repeats):
            shuffled = X.copy()
            shuffled[:, column] = rng.permutation(X[:, column])
            found[column, repeat] = score(X) - score(shuffled)
    return found


def expected_calibration_error(confidence, right, bins):
    """Guo et al., 2017, equation 3: bins (low, high]."""
    error = 0.0
    for m in range(bins):
        inside = (confidence > m / bins) & (confidence <= (m + 1) / bins)
        if m == 0:
            inside |= confidence == 0
        if inside.any():
            error += inside.mean() * abs(right[inside].mean() - confidence[inside].mean())
    return error


def conformal_quantile(scores, level):
    """The ceil((n + 1) level)-th smallest."""
    return sorted(scores)[math.ceil((len(scores) + 1) * level - 1e-9) - 1]


def adaptive_score(probabilities, chosen, u):
    """Romano et al., 2020: the sum of what is likelier than a class, and u of its own."""
    order = sorted(range(len(probabilities)), key=lambda c: -probabilities[c])
    before = order[: order.index(chosen)]
    return sum(probabilities[c] for c in before) + u * probabilities[chosen]
