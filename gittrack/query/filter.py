"""Finds the runs of a frame that a query holds for, column by column.

Pure. A test has three answers, as in SQL: true, false, and null where a run lacks what is tested; only true counts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..frame.arrays import join_chunks, make_constant, make_range, make_texts
from ..frame.schema import INPUTS
from .check import check_test
from .keys import Column, find_column, get_column, get_param, get_values
from .mixed import compare_labels, compare_mixed, find_present, match_mixed, split_kinds
from .numeric import compare_floats, compare_integers, compare_times
from .operand import Operand, read_operand
from .textual import compare_digests, compare_hashes, compare_texts, find_texts, match_pattern
from .times import Moment
from .tree import Among, And, Compare, Condition, Flag, Holds, Like, Missing, Not, Or, Query, Test, Text
from .vocabulary import Kind

if TYPE_CHECKING:
    import pyarrow as pa

    from ..frame import Frame

_TRUE = Flag(True)


def filter_frame(query: Query, frame: Frame, *, now: int) -> pa.BooleanArray:
    """Return which rows of a frame are visible and fulfil a query: one boolean a row, none null.

    `now`, in UTC microseconds since 1970, is what `7 days ago` counts from. A key that no run has is not an error, but
    what every run lacks; check_keys tells. Raises InvalidInput for a bare name that no run has, or that may be several
    things, and for a value that does not fit what the name turns out to be.
    """
    import pyarrow.compute as pc

    if query.condition is None:
        return frame.visible
    flags = _Evaluation(frame, query.text, now).answer(query.condition)
    if flags.null_count:
        flags = pc.coalesce(flags, make_constant(False, len(flags)))
    return flags if frame.count == frame.height else pc.and_(flags, frame.visible)


@dataclass(frozen=True)
class _Evaluation:
    """One query over one frame. Answers are arrays of one boolean or null a row."""

    frame: Frame
    text: str
    now: int

    def answer(self, condition: Condition) -> Any:
        import pyarrow.compute as pc

        if isinstance(condition, Not):
            return pc.invert(self.answer(condition.part))
        if isinstance(condition, (And, Or)):
            join = pc.and_kleene if isinstance(condition, And) else pc.or_kleene
            first, *rest = condition.parts
            answers = self.answer(first)
            for part in rest:
                answers = join(answers, self.answer(part))
            return answers
        return self.answer_test(condition)

    def answer_test(self, test: Test) -> Any:
        import pyarrow as pa

        if test.key.group == "any":
            column: Column | None = get_column(test.key, self.frame, text=self.text)
        else:
            column = find_column(test.key, self.frame)
        if column is None:
            height = self.frame.height
            return make_constant(True, height) if isinstance(test, Missing) else pa.nulls(height, pa.bool_())
        check_test(test, kind=column.kind, text=self.text)
        if column.table == "datasets":
            return self.answer_datasets(test, column)
        if column.kind == "param":
            return _answer_param(test, get_param(column.key, self.frame))
        return self.answer_values(test, column.kind, get_values(column, self.frame))

    def answer_values(self, test: Test, kind: Kind, values: Any) -> Any:
        """Return the answers for a column of values of one kind, of runs or of whatever else they are."""
        import pyarrow.compute as pc

        if isinstance(test, Missing):
            return pc.is_null(values)
        if isinstance(test, Holds):
            return _answer_holds(kind, values)
        if isinstance(test, Like):
            return match_pattern(values, test.pattern.value, fold=test.fold or kind == "status")
        if isinstance(test, Compare):
            if kind == "label":
                return compare_labels(values, test.operator, test.value)
            return _compare(kind, values, test, self.read(kind, test))
        return self.answer_among(test, kind, values)

    def answer_among(self, test: Among, kind: Kind, values: Any) -> Any:
        import pyarrow.compute as pc

        texts = [value.value for value in test.values if isinstance(value, Text)]
        if kind in ("text", "label") and len(texts) == len(test.values):
            return find_texts(values, texts)
        answers = None
        for value in test.values:
            answer = self.answer_values(Compare(test.key, "=", value), kind, values)
            answers = answer if answers is None else pc.or_kleene(answers, answer)
        return answers

    def read(self, kind: Kind, test: Compare) -> Operand:
        return read_operand(kind, test.value, label=test.key.name, now=self.now)

    def answer_datasets(self, test: Test, column: Column) -> Any:
        """Return which runs have any input that a test holds for; null for runs without inputs."""
        import pyarrow as pa
        import pyarrow.compute as pc

        pieces = []
        for segment in self.frame.segments:
            rows = make_range(segment.height)
            holding, having = [], []
            for name in segment.list_keys(INPUTS):
                entries = segment.get_entries(INPUTS, name)
                if entries is None:
                    continue
                where = entries.column(0)
                having.append(where)
                if column.field == "name":
                    answer = self.answer_values(test, column.kind, make_texts([name]))
                    holding += [where] if answer[0].as_py() else []
                else:
                    values = entries.column(entries.schema.get_field_index(column.field))
                    holding.append(where.filter(self.answer_values(test, column.kind, values)))
            has = pc.is_in(rows, value_set=pa.chunked_array(having, type=pa.int32()))
            holds = pc.is_in(rows, value_set=pa.chunked_array(holding, type=pa.int32()))
            if isinstance(test, Missing):
                pieces.append(pc.or_(holds, pc.invert(has)))
            else:
                pieces.append(pc.if_else(has, holds, pa.nulls(1, pa.bool_())[0]))
        return join_chunks(pa.chunked_array(pieces, type=pa.bool_()))


def _answer_param(test: Test, parts: tuple[pa.Array, pa.Array, pa.Array]) -> Any:
    import pyarrow.compute as pc

    if isinstance(test, Missing):
        return pc.invert(find_present(parts[0]))
    column = split_kinds(*parts)
    if isinstance(test, Holds):
        return compare_mixed(column, "=", _TRUE)
    if isinstance(test, Like):
        return match_mixed(column, test.pattern.value, fold=test.fold)
    if isinstance(test, Compare):
        return compare_mixed(column, test.operator, test.value)
    first, *rest = test.values
    answers = compare_mixed(column, "=", first)
    for value in rest:
        answers = pc.or_kleene(answers, compare_mixed(column, "=", value))
    return answers


def _answer_holds(kind: Kind, values: Any) -> Any:
    import pyarrow.compute as pc

    if kind == "label":
        return compare_labels(values, "=", _TRUE)
    return pc.is_valid(values) if kind == "mark" else values


def _compare(kind: Kind, values: Any, test: Compare, operand: Operand) -> Any:
    import pyarrow.compute as pc

    operator = test.operator
    if isinstance(operand, Moment):
        return compare_times(values, operator, operand)
    if isinstance(operand, bool):
        flags = pc.is_valid(values) if kind == "mark" else values
        return flags if operand == (operator == "=") else pc.invert(flags)
    if isinstance(operand, (int, float)):
        return (compare_integers if kind == "integer" else compare_floats)(values, operator, operand)
    assert isinstance(operand, str)
    compare = {"hash": compare_hashes, "digest": compare_digests}.get(kind, compare_texts)
    return compare(values, operator, operand)
