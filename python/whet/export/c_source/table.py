"""A table model as a C file: columns of a row in, a class or a number out, with the preprocessing in between."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from whet import _core
from whet.data import preprocessing, steps
from whet.data.columns import text
from whet.data.targets import TargetScaler
from whet.export.c_source import network
from whet.export.c_source.file import File
from whet.export.c_source.literals import array, comment, identifier, number, quoted, real, string, strings
from whet.losses import MemberLoss
from whet.tabular import TabularModel

__all__ = ["table_file"]

_SHOWN = 8  # categories in a comment


def table_file(model: TabularModel, name: str) -> File:
    """The file of a table model, whose names begin with `name`.

    Raises:
        RuntimeError: If it is not fitted.
        ValueError: If its network cannot be written, or has outputs that are no classes and no number.
    """
    preprocessor, _, module = model._fitted()
    translation = network.translated(module, len(preprocessor.feature_names))
    graph = translation.network.graph
    shape, loss = tuple(graph.shape(graph.output)), module._fitted_loss("to_c")
    if len(shape) != (2 if isinstance(loss, MemberLoss) else 1):
        raise ValueError(f"[to_c] expected a network whose rows of outputs have one axis, got shape {shape}")
    row, calls = _Row(preprocessor, name), _Calls(model, name, shape)
    ctype = real(module.dtype)
    head = f"static void network(const {ctype} *restrict x, {ctype} *restrict out)"
    about = [
        f"TabularModel of whet {_core.__version__} for {quoted(model.target)}, written by whet.export.to_c.",
        f"{len(preprocessor.kinds)} columns become {len(preprocessor.feature_names)} features. "
        + network.size(translation),
        "Numbers are NaN where they are missing, dates days since 1970-01-01. Categories are UTF-8 as Python writes "
        "them (3, not 3.0; True), NULL where they are missing; others than those of the training rows are allowed.",
    ]
    body = [*row.constants(), row.function(ctype), network.definition(translation, head), *calls.definitions()]
    return File(about, f"{row.structure()}\n{calls.interface()}", body, module.dtype)


class _Row:
    """A row of the table, and what turns it into features."""

    def __init__(self, preprocessor: preprocessing.Preprocessor, name: str) -> None:
        self._name = name
        self._kinds = preprocessor.kinds
        self._fields: dict[str, str] = {}
        for column in self._kinds:
            self._fields[column] = identifier(column, self._fields.values())
        self._numbers, self._categories = preprocessor._numbers, preprocessor._categories
        self._imputer, self._scaler = preprocessor._imputer, preprocessor._scaler
        self._fill = preprocessor._category_imputer.fill_ or ()
        self._encoder = preprocessor._encoder
        self._levels = (self._encoder.levels_ or ()) if self._categories else ()
        for column, levels in zip(self._categories, self._levels, strict=True):
            if any("\0" in level for level in levels):
                raise ValueError(f"[to_c] column {column!r}: expected categories without the character 0")

    def structure(self) -> str:
        """The declaration of the row."""
        lines = []
        for column, field in self._fields.items():
            ctype = "double " if self._kinds[column] == "number" else "const char *"
            notes = [] if field == column else [quoted(column)]
            if self._kinds[column] == "category":
                levels = self._levels[self._categories.index(column)]
                notes.append(", ".join(map(quoted, levels[:_SHOWN])) + (", ..." if len(levels) > _SHOWN else ""))
            note = f"  {comment(': '.join(notes))}" if notes else "\n"
            lines.append(f"  {ctype}{field};{note}")
        return f"typedef struct {{\n{''.join(lines)}}} {self._name}_row;\n"

    def constants(self) -> list[str]:
        """What the steps have learnt."""
        found = []
        if self._numbers:
            found.append(array("fills", np.array(self._imputer.fill_), "for missing numbers"))
        if isinstance(self._scaler, steps.QuantileScaler):
            found.append(array("quantiles", np.array(self._scaler.quantiles_), "of each column of numbers"))
        elif self._scaler is not None and self._numbers:
            described = self._scaler.describe()
            found += [array(f"{each}s", np.array(described[f"{each}_"])) for each in ("center", "scale")]
        for column, levels in zip(self._categories, self._levels, strict=True):
            found.append(strings(f"levels_{self._fields[column]}", levels))
        return found

    def function(self, ctype: str) -> str:
        """What fills features in; it returns 0 for a number that is infinite or out of range, else 1."""
        lines = self._of_numbers() if self._numbers else []
        position = len(self._numbers)
        for number_of_column in self._imputer.indicated_ if self._numbers else ():
            lines.append(f"x[{position}] = numbers[{number_of_column}] != numbers[{number_of_column}];")
            position += 1
        for column, fill, width in zip(self._categories, self._fill, self._widths(), strict=True):
            lines += self._of_category(column, fill, position)
            position += width
        body = "\n".join([*lines, "return 1;"]).replace("\n", "\n  ")
        return f"static int features(const {self._name}_row *row, {ctype} *x) {{\n  {body}\n}}\n"

    def _widths(self) -> Sequence[int]:
        return self._encoder.widths if self._categories else ()

    def _of_numbers(self) -> list[str]:
        fields = ", ".join(f"row->{self._fields[column]}" for column in self._numbers)
        return [
            f"const double numbers[] = {{{fields}}};",
            f"for (size_t i = 0; i < {len(self._numbers)}; ++i) {{",
            "  const double filled = numbers[i] != numbers[i] ? fills[i] : numbers[i];",
            f"  x[i] = (float){self._scaled()};",
            "  if (filled - filled != 0 || x[i] - x[i] != 0) return 0;",
            "}",
        ]

    def _scaled(self) -> str:
        """A filled number on the scale of its column, as an expression."""
        if self._scaler is None:
            return "filled"
        if isinstance(self._scaler, steps.QuantileScaler):
            count = len((self._scaler.quantiles_ or ((),))[0])
            share = f"share_below(filled, quantiles + i * {count}, {count})"
            return f"normal_quantile({share}, {number(self._scaler.LEAST)})"
        scaled = "linearly_scaled(filled, centers[i], scales[i])"
        clip = self._scaler.clip if isinstance(self._scaler, steps.RobustScaler) else None
        return scaled if clip is None else f"bent({scaled}, {number(clip)})"

    def _of_category(self, column: str, fill: str, position: int) -> list[str]:
        field, count = self._fields[column], len(self._levels[self._categories.index(column)])
        given = f"row->{field} ? row->{field} : {string(fill)}"
        code = f"code_of({given}, levels_{field}, {count})"
        if isinstance(self._encoder, steps.OrdinalEncoder):
            return [f"x[{position}] = (float){code};"]
        return [
            f"const size_t found_{field} = {code};",
            f"for (size_t i = 0; i < {count}; ++i) x[{position} + i] = i == found_{field};",
        ]


class _Calls:
    """The functions that a program calls."""

    def __init__(self, model: TabularModel, name: str, shape: tuple[int, ...]) -> None:
        preprocessor, self._encoder, module = model._fitted()
        self._loss, self._dtype = module._fitted_loss("to_c"), module.dtype
        self._name, self._shape = name, shape
        self._start = f"{real(self._dtype)} x[{len(preprocessor.feature_names)}], y[{math.prod(shape)}];"

    def interface(self) -> str:
        """Their declarations."""
        if isinstance(self._encoder, TargetScaler):
            return f"/* The target of a row; NAN where a number is infinite. */\n{self._predict()};\n"
        lines = [
            f"extern const char *const {self._name}_classes[{len(self._encoder.classes)}];",
            "/* A row's class, an index of the names; -1 where a number is infinite. */",
            f"{self._predict()};",
        ]
        for head in self._proba():
            lines += ["/* The probability of each class; returns 0, or -1 where a number is infinite. */", f"{head};"]
        return "\n".join([*lines, ""])

    def definitions(self) -> list[str]:
        """All that they are."""
        if isinstance(self._encoder, TargetScaler):
            value = network.value(self._loss, self._shape, self._dtype)
            mean, scale = number(self._encoder.mean_ or 0.0), number(self._encoder.scale_)
            return [self._function(self._predict(), "NAN", [f"return (double){value} * {scale} + {mean};"])]
        return self._of_classes([text(each) for each in self._encoder.classes_ or ()])

    def _of_classes(self, classes: Sequence[str]) -> list[str]:
        names = strings(f"{self._name}_classes", classes).removeprefix("static ")
        count, probable = network.probabilities(self._loss, self._shape, self._dtype)
        # Members agree on their mean probabilities.
        ranked, before = "y", []
        if isinstance(self._loss, MemberLoss):
            ranked, before = "out", [f"{real(self._dtype)} out[{count}];", *probable]
        find = f"for (int i = 1; i < {len(classes)}; ++i)\n    if ({ranked}[i] > {ranked}[best]) best = i;"
        predict = self._function(self._predict(), "-1", [*before, "int best = 0;", find, "return best;"])
        return [names, predict, *(self._function(head, "-1", [*probable, "return 0;"]) for head in self._proba())]

    def _predict(self) -> str:
        returned = "double" if isinstance(self._encoder, TargetScaler) else "int"
        return f"{returned} {self._name}_predict(const {self._name}_row *row)"

    def _proba(self) -> list[str]:
        """The head of predict_proba, if there is one."""
        arguments = f"const {self._name}_row *row, {real(self._dtype)} *out"
        has = self._loss.link in ("softmax", "sigmoid")
        return [f"int {self._name}_predict_proba({arguments})"] if has else []

    def _function(self, head: str, failure: str, lines: Sequence[str]) -> str:
        start = [self._start, f"if (!features(row, x)) return {failure};", "network(x, y);"]
        body = "\n  ".join([*start, *lines])
        return f"{head} {{\n  {body}\n}}\n"
