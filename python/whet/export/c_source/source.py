"""A fitted model as one C file that needs a C compiler and nothing else."""

from __future__ import annotations

import os
from typing import Any

from whet._checks import as_name, as_path
from whet._predictor import predictor_of
from whet.export.c_source.estimator import estimator_file
from whet.export.c_source.literals import is_identifier
from whet.export.c_source.module import module_file
from whet.export.c_source.table import table_file
from whet.nn import Module
from whet.tabular import TabularModel

__all__ = ["to_c"]


def to_c(model: Any, path: str | os.PathLike[str], *, name: str = "model") -> None:
    """Writes a model as C source for prediction, which needs C99 and its <math.h> alone.

    The file has a row's raw outputs as ``void model_predict(const float *x, float *out)`` (double for a float64
    model), many rows' as ``model_predict_rows``, and ``model_predict_proba`` where the loss of the last fit has
    probabilities. Of a TabularModel it has the preprocessing, too: ``model_row`` is a structure with a double for each
    column of numbers, NaN where it is missing, and UTF-8 text for each column of categories, NULL where it is missing;
    ``model_predict`` returns the number of a class (an index of ``model_classes``) or the target in its own units. The
    comment at the top of the file tells inputs, outputs, memory and how to compile it.

    Operations stand in the order in which whet's kernels compute them, so that outputs have the bits of ``predict``
    on a processor with FMA; what a table's numbers go through before the network is float64 with the C library's
    ``hypot``. Of an estimator of whet.sklearn the file has ``int model_predict(const double *x)``, an index of
    ``model_classes``, and ``void model_predict_proba(const double *x, double *out)`` where it has probabilities; of a
    regressor ``void model_predict(const double *x, double *out)``. Nothing is allocated; weights are constants, of some
    17 characters each: a file is four times as long as the model's own.

    Args:
        model: A module, a fitted table model, or a fitted estimator of whet.sklearn without columns of categories.
        path: The file to write.
        name: What the names of its functions begin with.

    Raises:
        TypeError: If `model` is none of these.
        ValueError: If it has an operation that C source cannot have, named with its layer; if a module may take any
            number of features and has seen none; if an estimator is not fitted, has columns of categories, or predicts
            what no network does; if `name` is none that C allows.
        RuntimeError: If a table model is not fitted.
        OSError: If the file cannot be written.
    """
    if not is_identifier(as_name(name, "to_c", "name")):
        raise ValueError(f"[to_c] expected name to be one that C allows, such as 'model', got {name!r}")
    if isinstance(model, TabularModel):
        file = table_file(model, name)
    elif isinstance(model, Module):
        file = module_file(model, name)
    else:
        file = estimator_file(predictor_of(model, "to_c"), type(model).__name__, name)
    text = file.text()
    with open(as_path(path, "to_c"), "w", encoding="ascii", newline="\n") as written:
        written.write(text)
