"""A fitted model as one C file that needs a C compiler and nothing else."""

from __future__ import annotations

import os

from whet._checks import as_name, as_path
from whet.export.c_source.literals import is_identifier
from whet.export.c_source.module import module_file
from whet.export.c_source.table import table_file
from whet.nn import Module
from whet.tabular import TabularModel

__all__ = ["to_c"]


def to_c(model: Module | TabularModel, path: str | os.PathLike[str], *, name: str = "model") -> None:
    """Writes a model as C source for prediction, which needs C99 and its <math.h> alone.

    The file has a row's raw outputs as ``void model_predict(const float *x, float *out)`` (double for a float64
    model), many rows' as ``model_predict_rows``, and ``model_predict_proba`` where the loss of the last fit has
    probabilities. Of a TabularModel it has the preprocessing, too: ``model_row`` is a structure with a double for each
    column of numbers, NaN where it is missing, and UTF-8 text for each column of categories, NULL where it is missing;
    ``model_predict`` returns the number of a class (an index of ``model_classes``) or the target in its own units. The
    comment at the top of the file tells inputs, outputs, memory and how to compile it.

    Operations stand in the order in which whet's kernels compute them, so that outputs have the bits of ``predict``
    on a processor with FMA; what a table's numbers go through before the network is float64 with the C library's
    ``hypot``. Nothing is allocated; weights are constants, of some 17 characters each: a file is four times as long
    as the model's own.

    Args:
        model: A module, or a fitted table model.
        path: The file to write.
        name: What the names of its functions begin with.

    Raises:
        TypeError: If `model` is neither.
        ValueError: If it has an operation that C source cannot have, named with its layer; if a module may take any
            number of features and has seen none; if `name` is none that C allows.
        RuntimeError: If a table model is not fitted.
        OSError: If the file cannot be written.
    """
    if not isinstance(model, Module | TabularModel):
        raise TypeError(f"[to_c] expected an nn.Module or a TabularModel, got {type(model).__name__}")
    if not is_identifier(as_name(name, "to_c", "name")):
        raise ValueError(f"[to_c] expected name to be one that C allows, such as 'model', got {name!r}")
    file = table_file(model, name) if isinstance(model, TabularModel) else module_file(model, name)
    text = file.text()
    with open(as_path(path, "to_c"), "w", encoding="ascii", newline="\n") as written:
        written.write(text)
