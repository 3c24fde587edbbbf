"""An estimator of whet.sklearn as a C file: rows of numbers in, labels, probabilities or numbers out."""

from __future__ import annotations

import math

from whet import _core
from whet._predictor import Predictor
from whet.data.columns import text
from whet.export.c_source import network
from whet.export.c_source.file import File
from whet.export.c_source.literals import array, real, strings

__all__ = ["estimator_file"]


def estimator_file(predictor: Predictor, kind: str, name: str) -> File:
    """The file of an estimator, whose functions begin with `name`.

    Raises:
        ValueError: If its network has an operation that cannot be written.
    """
    module = predictor.network
    translation = network.translated(module, module._width())
    graph, ctype = translation.network.graph, real(module.dtype)
    calls = _Calls(predictor, name, math.prod(graph.shape(graph.output)))
    inner = network.definition(translation, f"static void network(const {ctype} *restrict x, {ctype} *restrict out)")
    gaps = " NaN where they are missing." if predictor.fills is not None else ""
    about = [
        f"{kind} of whet {_core.__version__}, written by whet.export.to_c.",
        f"x has {predictor.features} numbers.{gaps} {network.size(translation)}",
    ]
    return File(about, calls.interface(), [*calls.constants(), inner, *calls.definitions()], module.dtype)


class _Calls:
    """The functions that a program calls."""

    def __init__(self, predictor: Predictor, name: str, outputs: int) -> None:
        self._predictor, self._name, self._outputs = predictor, name, outputs
        self._dtype = predictor.network.dtype
        self._real = real(self._dtype)
        self._classes = [] if predictor.classes is None else [text(each) for each in predictor.classes.tolist()]
        self._several = predictor.classes is None or predictor.multilabel

    def constants(self) -> list[str]:
        """What takes the place of gaps, and the names of classes."""
        found = []
        if self._predictor.fills is not None:
            found.append(array("fills", self._predictor.fills.astype(self._dtype), "for missing numbers"))
        if self._classes:
            found.append(strings(f"{self._name}_classes", self._classes).removeprefix("static "))
        return found

    def interface(self) -> str:
        """Their declarations."""
        lines = []
        if self._predictor.classes is None:
            lines.append("/* What is predicted for a row. */")
        else:
            lines.append(f"extern const char *const {self._name}_classes[{len(self._classes)}];")
            what = "Whether a row has each label, 1 or 0." if self._several else "A row's class, an index of the names."
            lines.append(f"/* {what} */")
        lines.append(f"{self._predict()};")
        if self._has_probabilities():
            lines += [f"/* The {len(self._classes)} probabilities of a row. */", f"{self._proba()};"]
        return "\n".join([*lines, ""])

    def definitions(self) -> list[str]:
        """All that they are."""
        made = [self._function(self._predict(), self._prediction())]
        if self._has_probabilities():
            made.append(self._function(self._proba(), self._probabilities()))
        return made

    def _has_probabilities(self) -> bool:
        return self._predictor.classes is not None and self._predictor.link is not None

    def _predict(self) -> str:
        given = f"const {self._real} *x"
        if not self._several:
            return f"int {self._name}_predict({given})"
        returned = self._real if self._predictor.classes is None else "int"
        return f"void {self._name}_predict({given}, {returned} *out)"

    def _proba(self) -> str:
        return f"void {self._name}_predict_proba(const {self._real} *x, {self._real} *out)"

    def _each(self, value: str) -> str:
        return f"for (size_t i = 0; i < {self._outputs}; ++i) out[i] = {value};"

    def _prediction(self) -> list[str]:
        if self._predictor.classes is None:
            return [self._each("exp_of(y[i])" if self._predictor.link == "exp" else "y[i]")]
        if self._several:
            return [self._each("y[i] > 0")]
        if self._outputs == 1:
            return ["return y[0] > 0;"]
        find = f"for (int i = 1; i < {self._outputs}; ++i)\n    if (y[i] > y[best]) best = i;"
        return ["int best = 0;", find, "return best;"]

    def _probabilities(self) -> list[str]:
        if self._predictor.link == "softmax":
            return [f"softmax(out, y, 1, {self._outputs});"]
        if self._outputs == 1 and not self._several:
            return ["out[1] = sigmoid_of(y[0]);", "out[0] = 1 - out[1];"]
        lines = [self._each("sigmoid_of(y[i])")]
        if self._predictor.link == "shares":
            total = f"for (size_t i = 0; i < {self._outputs}; ++i) total += out[i];"
            lines += [f"{self._real} total = 0;", total, self._each("out[i] / total")]
        return lines

    def _function(self, head: str, lines: list[str]) -> str:
        start, given = [f"{self._real} y[{self._outputs}];"], "x"
        features, told = self._predictor.features, self._predictor.told
        if self._predictor.fills is not None:
            given = "full"
            start.append(f"{self._real} full[{features + len(told)}];")
            start.append(f"for (size_t i = 0; i < {features}; ++i) full[i] = x[i] != x[i] ? fills[i] : x[i];")
            start += [f"full[{features + k}] = x[{column}] != x[{column}];" for k, column in enumerate(told)]
        body = "\n  ".join([*start, f"network({given}, y);", *lines])
        return f"{head} {{\n  {body}\n}}\n"
