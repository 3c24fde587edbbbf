"""Sums of squares of rows around their means, dense or sparse, and what makes them small."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import scipy.linalg
import scipy.optimize
import scipy.sparse
import scipy.sparse.linalg
from numpy.typing import NDArray

__all__ = [
    "LARGEST",
    "Centered",
    "Doubles",
    "SparseCentered",
    "centered",
    "positive",
    "ridge",
    "ridge_without_factors",
    "solve_squares",
]

Doubles = NDArray[np.float64]

LARGEST = 4096  # features whose products with each other are formed: 128 MB


class Centered:
    """Rows and targets in double precision, around their weighted means, times the roots of their weights.

    Args:
        X: Features.
        y: Target, shape (rows,) or (rows, outputs).
        weights: The weight of each row, or None.
        centre: Whether the means are taken away.
    """

    is_sparse = False

    def __init__(self, X: NDArray[Any], y: NDArray[Any], weights: NDArray[Any] | None, centre: bool) -> None:
        self._center(X, y, weights, centre)
        self._rows: Any = X - self.x_mean if centre else X.astype(np.float64)
        if weights is not None:
            self._rows *= self.roots[:, None]

    def _center(self, X: Any, y: NDArray[Any], weights: NDArray[Any] | None, centre: bool) -> None:
        self.shape: tuple[int, int] = X.shape
        y = np.asarray(y, np.float64).reshape(len(y), -1)
        self.x_mean, self.y_mean = np.zeros(X.shape[1]), np.zeros(y.shape[1])
        self.weight = float(len(y)) if weights is None else float(weights.sum(dtype=np.float64))
        if centre:
            self.x_mean = self._mean(X, weights)
            self.y_mean = np.average(y, axis=0, weights=weights)
        self.y: Doubles = y - self.y_mean
        self.roots = np.ones(len(y)) if weights is None else np.sqrt(weights.astype(np.float64))
        if weights is not None:
            self.y *= self.roots[:, None]

    def _mean(self, X: Any, weights: NDArray[Any] | None) -> Doubles:
        mean: Doubles = np.average(X, axis=0, weights=weights).astype(np.float64)
        return mean

    def dense(self) -> Doubles:
        """X."""
        rows: Doubles = self._rows
        return rows

    def gram(self) -> Doubles:
        """X^T X."""
        product: Doubles = self._rows.T @ self._rows
        return product

    def kernel(self) -> Doubles:
        """X X^T."""
        product: Doubles = self._rows @ self._rows.T
        return product

    def times(self, coef: Doubles) -> Doubles:
        """X coef."""
        product: Doubles = self._rows @ coef
        return product

    def transposed(self, rows: Doubles) -> Doubles:
        """X^T rows."""
        product: Doubles = self._rows.T @ rows
        return product

    def column(self, i: int) -> Doubles:
        """The i-th feature of all rows."""
        column: Doubles = self._rows[:, i]
        return column


class SparseCentered(Centered):
    """The same of sparse rows, which stay so: the means are taken away from products."""

    is_sparse = True

    def __init__(self, X: Any, y: NDArray[Any], weights: NDArray[Any] | None, centre: bool) -> None:
        self._center(X, y, weights, centre)
        self._rows = scipy.sparse.csr_array(X, dtype=np.float64)
        if weights is not None:
            self._rows = scipy.sparse.diags_array(self.roots).tocsr() @ self._rows

    def _mean(self, X: Any, weights: NDArray[Any] | None) -> Doubles:
        counts = np.ones(X.shape[0]) if weights is None else weights.astype(np.float64)
        mean: Doubles = (X.T @ counts) / self.weight
        return mean

    def dense(self) -> Doubles:
        """X, for what needs all its elements."""
        array: Doubles = self._rows.toarray() - np.outer(self.roots, self.x_mean)
        return array

    def gram(self) -> Doubles:
        """X^T X."""
        product: Doubles = (self._rows.T @ self._rows).toarray(order="C")
        product -= np.outer(self.weight * self.x_mean, self.x_mean)
        return product

    def kernel(self) -> Doubles:
        """X X^T."""
        product: Doubles = (self._rows @ self._rows.T).toarray()
        along = np.outer(self._rows @ self.x_mean, self.roots)
        product -= along + along.T
        product += np.outer(self.roots, (self.x_mean @ self.x_mean) * self.roots)
        return product

    def times(self, coef: Doubles) -> Doubles:
        """X coef."""
        product: Doubles = self._rows @ coef
        return product - np.multiply.outer(self.roots, self.x_mean @ coef)

    def transposed(self, rows: Doubles) -> Doubles:
        """X^T rows."""
        product: Doubles = self._rows.T @ rows
        return product - np.multiply.outer(self.x_mean, self.roots @ rows)

    def columns(self) -> tuple[Doubles, NDArray[np.int32], NDArray[np.int32]]:
        """Compressed columns, before the means are taken away: elements, their rows, where each column begins."""
        found = self._rows.tocsc()
        return found.data, found.indices.astype(np.int32, copy=False), found.indptr.astype(np.int32, copy=False)

    def column(self, i: int) -> Doubles:
        """The i-th feature of all rows."""
        column: Doubles = self._rows[:, [i]].toarray()[:, 0] - self.roots * self.x_mean[i]
        return column

    def shortest(self, output: int, penalty: float) -> Doubles:
        """The coefficients of a target, the shortest where there are several, by LSQR."""
        operator = scipy.sparse.linalg.LinearOperator(
            self.shape, matvec=self.times, rmatvec=self.transposed, dtype=np.float64
        )
        found: Doubles = scipy.sparse.linalg.lsqr(
            operator, self.y[:, output], damp=np.sqrt(penalty), atol=1e-12, btol=1e-12, conlim=0
        )[0]
        return found


def centered(X: Any, y: NDArray[Any], weights: NDArray[Any] | None, centre: bool) -> Centered:
    """Rows around their means; see `Centered`."""
    return (SparseCentered if scipy.sparse.issparse(X) else Centered)(X, y, weights, centre)


class _Factor(NamedTuple):
    """A scale for each row of a matrix, and the Cholesky factor of the matrix so scaled."""

    scale: Doubles
    lower: Doubles

    def solve(self, right: Doubles) -> Doubles:
        solution: Doubles = scipy.linalg.cho_solve((self.lower, True), right / self.scale[:, None], check_finite=False)
        return solution / self.scale[:, None]


def _factor(gram: Doubles) -> _Factor | None:
    """None where the matrix is nearly singular."""
    scale = np.sqrt(np.diagonal(gram))
    if not np.isfinite(scale).all() or (scale == 0).any():
        return None
    try:
        lower = scipy.linalg.cholesky(gram / scale[:, None] / scale, lower=True, check_finite=False)
    except scipy.linalg.LinAlgError:
        return None
    return _Factor(scale, lower) if np.diagonal(lower).min() > 1e-5 else None


class Solution(NamedTuple):
    """Coefficients, shape (features, outputs), with rank and singular values where they are known."""

    coef: Doubles
    rank: int = 0
    singular: Doubles | None = None


def solve_squares(rows: Centered, tol: float) -> Solution:
    """Least squares; singular values below `tol` times the largest count as zero."""
    n, p = rows.shape
    if n > p and (p <= LARGEST or not rows.is_sparse):
        found = _factor(rows.gram())
        if found is not None:
            singular = scipy.linalg.svdvals(found.lower.T * found.scale, check_finite=False)
            if singular[-1] > 10 * tol * singular[0]:
                coef = found.solve(rows.transposed(rows.y))
                coef += found.solve(rows.transposed(rows.y - rows.times(coef)))  # what rounding has left
                return Solution(coef, p, None if rows.is_sparse else singular)
    if isinstance(rows, SparseCentered):
        return Solution(np.stack([rows.shortest(i, 0.0) for i in range(rows.y.shape[1])], axis=1))
    coef, _, rank, singular = scipy.linalg.lstsq(rows.dense(), rows.y, cond=tol, overwrite_a=True, check_finite=False)
    return Solution(coef, rank, singular)


def ridge(rows: Centered, alphas: Doubles) -> Doubles | None:
    """By Cholesky factors of X^T X + alpha, or of X X^T + alpha where there are fewer rows, shape (outputs, features).

    None if one is singular, or too large to be formed.
    """
    by_rows = rows.shape[0] < rows.shape[1]
    if rows.is_sparse and min(rows.shape) > LARGEST:
        return None
    gram = rows.kernel() if by_rows else rows.gram()
    right = rows.y if by_rows else rows.transposed(rows.y)
    coef = np.empty((len(alphas), rows.shape[1]))
    for alpha in np.unique(alphas):
        which = alphas == alpha
        shifted = gram.copy()
        shifted.flat[:: len(gram) + 1] += alpha
        found = _factor(shifted)
        if found is None:
            return None
        solution = found.solve(right[:, which])
        solution += found.solve(right[:, which] - shifted @ solution)  # what rounding has left
        coef[which] = (rows.transposed(solution) if by_rows else solution).T
    return coef


def ridge_without_factors(rows: Centered, alphas: Doubles) -> tuple[str, Doubles]:
    """By singular values, or by LSQR for sparse rows. Returns which, and coefficients, shape (outputs, features)."""
    if isinstance(rows, SparseCentered):
        return "lsqr", np.stack([rows.shortest(i, alpha) for i, alpha in enumerate(alphas)])
    u, s, vt = scipy.linalg.svd(rows.dense(), full_matrices=False, check_finite=False)
    kept = s > 1e-15
    shares = np.zeros((len(s), len(alphas)))
    shares[kept] = s[kept, None] / (s[kept, None] ** 2 + alphas)
    coef: Doubles = (vt.T @ (shares * (u.T @ rows.y))).T
    return "svd", coef


def positive(rows: Centered, output: int, alpha: float) -> Doubles:
    """Coefficients of 0 or more, by the active-set method of Lawson and Hanson.

    The penalty is added as rows; they all shrink to a triangle first.
    """
    X, y, p = rows.dense(), rows.y[:, output], rows.shape[1]
    wide = np.concatenate([X, np.sqrt(alpha) * np.eye(p)]) if alpha > 0 else X
    right = np.concatenate([y, np.zeros(len(wide) - len(y))])
    triangle = scipy.linalg.qr(np.concatenate([wide, right[:, None]], axis=1), mode="r", check_finite=False)[0]
    coef: Doubles = scipy.optimize.nnls(triangle[:, :p], triangle[:, p])[0]
    return coef
