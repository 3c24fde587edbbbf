"""What goes through a graph of ONNX that is being read: values of rows, and what is the same for all rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from whet.nn import Parameter, Value

__all__ = ["Data", "Fixed", "Operand", "Step", "row_form"]


@dataclass(frozen=True)
class Data:
    """A tensor of shape (rows, ...).

    Attributes:
        value: What stands for it in the trace.
        kind: "truth" if it is 0 or 1, "index" if it was cast to whole numbers, which whet only looks up with.
        bare: Whether it has the shape (rows,), for which a traced value has (rows, 1).
    """

    value: Value
    kind: Literal["number", "truth", "index"] = "number"
    bare: bool = False

    @property
    def rank(self) -> int:
        """How many axes it has in ONNX."""
        return 1 if self.bare else 1 + len(self.value.shape)


@dataclass(frozen=True)
class Fixed:
    """A tensor that is the same for all rows.

    Attributes:
        array: Its elements.
        name: Its name in the graph.
        given: Whether the file has it as an initializer, which training may change.
        transposed: The matrix that this is the transpose of.
    """

    array: NDArray[Any]
    name: str
    given: bool = False
    transposed: Fixed | None = None

    @property
    def is_number(self) -> bool:
        """Whether it is one number and nothing to train."""
        return self.array.ndim == 0 or (self.array.size == 1 and not self.given)


Operand: TypeAlias = Data | Fixed | None


def row_form(array: NDArray[Any]) -> NDArray[Any]:
    """Without axes of one element before the others, as it is combined with rows."""
    leading = 0
    while leading < array.ndim - 1 and array.shape[leading] == 1:
        leading += 1
    return array.reshape(array.shape[leading:])


@dataclass(frozen=True)
class Step:
    """A node whose operands are known.

    Attributes:
        op: Its operation.
        operands: In order; None for those left out.
        attributes: With the defaults of its version of the operation.
        parameters: Of the model that is being made, by name; those in the form for rows and those as they are.
        outputs: How many tensors it makes.
        rows: How many the file was made for, or 0 for any number.
    """

    op: str
    operands: Sequence[Operand]
    attributes: Mapping[str, Any]
    parameters: Mapping[str, Parameter]
    outputs: int
    rows: int

    @property
    def x(self) -> Value:
        """The first operand, rows of numbers."""
        return self.value(0)

    @property
    def data(self) -> Data:
        """The first operand.

        Raises:
            ValueError: If it is the same for all rows.
        """
        first = self.operands[0]
        if not isinstance(first, Data):
            raise ValueError("expected rows as the first operand, got what is the same for all rows")
        return first

    def value(self, i: int) -> Value:
        """An operand, rows of numbers.

        Raises:
            ValueError: If it is something else.
        """
        operand = self.operands[i]
        if not isinstance(operand, Data):
            raise ValueError(f"expected rows as operand {i + 1}, got what is the same for all rows")
        if operand.kind == "index":
            raise ValueError("whole numbers that a Cast made are for Gather alone")
        return operand.value

    def operand(self, i: int) -> Operand:
        """An operand, or None."""
        return self.operands[i] if i < len(self.operands) else None

    def fixed(self, i: int) -> Fixed:
        """An operand that is the same for all rows.

        Raises:
            ValueError: If it is something else.
        """
        operand = self.operand(i)
        if not isinstance(operand, Fixed):
            raise ValueError(f"expected operand {i + 1} to be the same for all rows, such as a weight")
        return operand

    def weight(self, i: int) -> Parameter:
        """A parameter as it is."""
        return self.parameters[self.fixed(i).name]

    def row(self, i: int) -> Parameter:
        """A parameter with an element for each feature, such as a bias."""
        return self.parameters[row_name(self.fixed(i))]

    def side(self, i: int, rank: int) -> Value | Parameter | float:
        """An operand of arithmetic with a tensor of that rank."""
        operand = self.operands[i]
        if not isinstance(operand, Fixed):
            return self.value(i)
        if operand.is_number:
            return float(operand.array.item())
        shape = operand.array.shape
        if len(shape) > rank or (len(shape) == rank and shape[0] != 1):
            raise ValueError(
                f"expected a tensor for each row, got one of shape {shape} with a number of rows of its own"
            )
        return self.row(i)

    def numbers(self, i: int, attribute: str) -> list[int] | None:
        """Whole numbers, of an operand or, in older versions, of an attribute; None if left out."""
        if self.operand(i) is not None:
            return [int(number) for number in self.fixed(i).array.ravel()]
        given = self.attributes.get(attribute)
        return None if given is None else [int(number) for number in np.ravel(given)]

    def number(self, i: int, attribute: str) -> float | None:
        """A number, of an operand or, in older versions, of an attribute; None if left out."""
        if self.operand(i) is not None:
            return float(self.fixed(i).array.item())
        given = self.attributes.get(attribute)
        return None if given is None else float(given)

    def axis(self, name: str = "axis") -> int:
        """An attribute that is an axis of the first operand's rows, from 1 on.

        Raises:
            ValueError: If it is that of the rows.
        """
        return behind_rows(int(self.attributes[name]), self.data.rank)


def row_name(fixed: Fixed) -> str:
    """The name of a tensor's parameter in the form for rows."""
    return fixed.name if row_form(fixed.array).shape == fixed.array.shape else f"{fixed.name}.row"


def behind_rows(axis: int, rank: int) -> int:
    """An axis from 1 to rank - 1.

    Raises:
        ValueError: If it is another.
    """
    found = axis + rank if axis < 0 else axis
    if not 1 <= found < rank:
        raise ValueError(f"expected an axis behind that of the rows, got {axis} of {rank}")
    return found
