"""Compares columns of numbers with a number, exactly, and columns of times with a moment.

An order that one side lacks, such as NaN's, is false; what is null stays null. Knows nothing of queries and runs.
"""

from __future__ import annotations

import math
import operator as operators
from array import array
from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any

from ..frame.arrays import make_plain
from .operand import split_number
from .times import Moment
from .tree import Operator

if TYPE_CHECKING:
    import pyarrow as pa

_ORDERS: dict[Operator, Callable[[Any, Any], bool]] = {
    "=": operators.eq, "!=": operators.ne, "<": operators.lt,
    "<=": operators.le, ">": operators.gt, ">=": operators.ge,
}  # fmt: skip
_LEAST, _MOST = -(1 << 63), (1 << 63) - 1


def compare_floats(column: Any, operator: Operator, value: int | float) -> Any:
    """Return which floats are so beside value, which may be an int that no float is; NaN equals NaN."""
    import pyarrow.compute as pc

    if operator == "!=":
        return pc.invert(compare_floats(column, "=", value))
    if value != value:
        return pc.is_nan(column) if operator == "=" else pc.less(column, make_float(math.nan))
    nearest, beyond = split_number(value)
    if beyond and operator == "=":
        return pc.less(column, make_float(math.nan))
    if beyond > 0:  # what is not above the nearest float is below value
        operator = "<=" if operator in ("<", "<=") else ">"
    elif beyond < 0:
        operator = "<" if operator in ("<", "<=") else ">="
    return get_kernel(operator)(column, make_float(nearest))


def compare_integers(column: Any, operator: Operator, value: int | float) -> Any:
    """Return which integers (int32 or int64) are so beside value, which may be any number."""
    import pyarrow.compute as pc

    if operator == "!=":
        return pc.invert(compare_integers(column, "=", value))
    below = operator in ("<", "<=")
    if not _LEAST <= value <= _MOST:
        always = operator != "=" and (value > _MOST if below else value < _LEAST)
        return pc.equal(column, column) if always else pc.not_equal(column, column)
    if value != int(value):
        if operator == "=":
            return pc.not_equal(column, column)
        operator = "<=" if below else ">"
    return get_kernel(operator)(column, make_int(math.floor(value)))


def compare_times(column: Any, operator: Operator, moment: Moment) -> Any:
    """Return which times (timestamps in microseconds) are so beside a moment: before it, in it, after it."""
    import pyarrow as pa
    import pyarrow.compute as pc

    times = column.cast(pa.int64())
    if operator in ("=", "!="):
        inside = pc.and_(compare_integers(times, ">=", moment.first), compare_integers(times, "<", moment.end))
        return inside if operator == "=" else pc.invert(inside)
    if operator in ("<", ">="):
        return compare_integers(times, operator, moment.first)
    return compare_integers(times, "<" if operator == "<=" else ">=", moment.end)


def subtract_times(later: Any, earlier: Any) -> Any:
    """Return the seconds between two columns of times, as floats."""
    import pyarrow as pa
    import pyarrow.compute as pc

    between = pc.subtract(later.cast(pa.int64()), earlier.cast(pa.int64()))
    return pc.divide(between.cast(pa.float64(), safe=False), make_float(1e6))


def make_float(value: float) -> pa.Scalar:
    """Return a float64 scalar, by way of an array: `pa.scalar` imports pandas where that is installed."""
    import pyarrow as pa

    return make_plain(array("d", [value]), pa.float64())[0]


def make_int(value: int) -> pa.Scalar:
    """Return an int64 scalar."""
    import pyarrow as pa

    return make_plain(array("q", [value]), pa.int64())[0]


def get_order(operator: Operator) -> Callable[[Any, Any], bool]:
    """Return Python's function for an operator."""
    return _ORDERS[operator]


@cache
def get_kernel(operator: Operator) -> Any:
    """Return pyarrow's function for an operator; `!=` has none, as NaN and nulls ask for thought there."""
    import pyarrow.compute as pc

    return {
        "=": pc.equal, "<": pc.less, "<=": pc.less_equal, ">": pc.greater, ">=": pc.greater_equal
    }[operator]  # fmt: skip
