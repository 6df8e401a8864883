"""Answers queries run by run in plain Python, as plainly as help.txt words it: what the filter must agree with.

Shares the tree of a query with the package, and nothing of how it is answered.
"""

from __future__ import annotations

import math
import operator
import re
import shlex
from collections.abc import Callable, Sequence
from typing import Any

from gittrack.frame import RunRecord
from gittrack.layout import make_slug
from gittrack.query.times import Moment, make_moment, parse_duration, parse_moment
from gittrack.query.tree import (
    Among,
    And,
    Compare,
    Condition,
    Flag,
    Holds,
    Key,
    Like,
    Missing,
    Not,
    Number,
    Or,
    SortKey,
    Text,
    Value,
)

ORDERS: dict[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
METRIC_FIELDS = "last min max mean first count last_step min_step max_step first_step".split()
INPUT_FIELDS = "digest path kind size context".split()
TIMES = ("started", "ended", "removed")
HASHES = ("id", "parent", "reproduces", "commit", "tree", "source.commit", "source.tree")


class Oracle:
    """Answers for some runs, all of them visible."""

    def __init__(self, records: Sequence[RunRecord], *, now: int) -> None:
        self.records = records
        self.now = now
        self.keys = {
            "metrics": {key for record in records for key in record.summary},
            "params": {key for record in records for key in record.params},
            "tags": {key for record in records for key in record.run.tags},
            "inputs": {entry.name for record in records for entry in record.run.inputs},
        }

    def filter(self, condition: Condition | None) -> list[bool]:
        return [condition is None or self.answer(condition, record) is True for record in self.records]

    def answer(self, condition: Condition, record: RunRecord) -> bool | None:
        if isinstance(condition, Not):
            inner = self.answer(condition.part, record)
            return None if inner is None else not inner
        if isinstance(condition, (And, Or)):
            decides = isinstance(condition, Or)
            answers = [self.answer(part, record) for part in condition.parts]
            if decides in answers:
                return decides
            return None if None in answers else not decides
        if condition.key.group == "datasets":
            return self.answer_datasets(condition, record)
        return self.answer_value(condition, self.resolve(condition.key), record)

    def answer_datasets(self, test: Any, record: RunRecord) -> bool | None:
        values = [getattr(entry, test.key.field) for entry in record.run.inputs]
        if isinstance(test, Missing):
            return not values
        name = "digest" if test.key.field == "digest" else ""
        return any(answer_test(test, value, name, self.now) is True for value in values) if values else None

    def answer_value(self, test: Any, key: Key | None, record: RunRecord) -> bool | None:
        value = None if key is None else find_value(key, record)
        name = "" if key is None or key.group != "attributes" else key.name
        if key is not None and key.group == "inputs" and key.field == "digest":
            name = "digest"
        return answer_test(test, value, name, self.now)

    def resolve(self, key: Key) -> Key | None:
        """Return the key with its whole name and its field, or None where no run has it."""
        if key.group == "attributes":
            return key
        if key.group == "any":
            found = [
                found
                for group in ("metrics", "params", "tags")
                if (found := self.resolve(Key(group, key.name, exact=key.exact))) is not None  # type: ignore[arg-type]
            ]
            assert len(found) == 1
            return found[0]
        fields = {"metrics": METRIC_FIELDS, "inputs": INPUT_FIELDS}.get(key.group, [])
        if key.name in self.keys[key.group]:
            return Key(key.group, key.name, key.field or (fields[0] if fields else ""))
        shorter, _, word = key.name.rpartition(".")
        word = "last_step" if word == "step" and key.group == "metrics" else word
        if not key.exact and word in fields and shorter in self.keys[key.group]:
            return Key(key.group, shorter, word)
        return None

    def sort(self, keys: Sequence[SortKey], rows: Sequence[int]) -> list[int]:
        order = sorted(rows, key=lambda row: (-self.records[row].run.started, self.records[row].run.id))
        for rank in reversed(keys):
            key = self.resolve(rank.key)
            values = {row: None if key is None else sortable(find_value(key, self.records[row]), key) for row in rows}
            present = [row for row in order if values[row] is not None]
            texts = [row for row in present if isinstance(values[row], str)]
            numbers = [row for row in present if not isinstance(values[row], str)]
            for part in (numbers, texts):
                part.sort(key=lambda row: values[row], reverse=rank.descending)
            order = numbers + texts + [row for row in order if values[row] is None]
        return order


def sortable(value: Any, key: Key) -> Any:
    if isinstance(value, str) and key.group in ("params", "tags"):
        number = spelled_number(value)
        value = value if number is None else float(number)
    if isinstance(value, float) and math.isnan(value):
        return None
    return value


def find_value(key: Key, record: RunRecord) -> Any:
    """Return what a run has under a resolved key, None for nothing."""
    run = record.run
    if key.group == "params":
        return record.params.get(key.name)
    if key.group == "tags":
        return run.tags.get(key.name)
    if key.group == "metrics":
        return getattr(record.summary[key.name], key.field) if key.name in record.summary else None
    if key.group == "inputs":
        return next((getattr(entry, key.field) for entry in run.inputs if entry.name == key.name), None)
    if key.name == "duration":
        return None if run.ended is None else (run.ended - run.started) / 1e6
    if key.name in ("commit", "tree", "live"):
        return getattr(record, key.name)
    if key.name == "command":
        return shlex.join(run.command) or None
    if key.name == "status":
        return run.status.value
    if key.name == "failure":
        return None if run.failure is None else f"{run.failure.type}: {run.failure.message}"
    if key.name.startswith("source."):
        return getattr(run.source, key.name.removeprefix("source."))
    value = getattr(run, key.name)
    return None if value == "" else value


def answer_test(test: Any, value: Any, attribute: str, now: int) -> bool | None:
    """Return what a test says of one value; `attribute` is the name of the attribute that has it, if one has."""
    if isinstance(test, Missing):
        return value is None
    if attribute == "removed" and (isinstance(test, Holds) or isinstance(getattr(test, "value", None), Flag)):
        return (value is not None) == (isinstance(test, Holds) or test.value.value == (test.operator == "="))
    if value is None:
        return None
    if isinstance(test, Among):
        return any(compare(value, "=", wanted, attribute, now) for wanted in test.values)
    if isinstance(test, Like):
        texts = ["true", "True"] if value is True else ["false", "False"] if value is False else [spell(value)]
        fold = test.fold or attribute == "status"
        return any(fits(text, test.pattern.value, fold=fold) for text in texts)
    if isinstance(test, Holds):
        return compare(value, "=", Flag(True), attribute, now)
    assert isinstance(test, Compare)
    return compare(value, test.operator, test.value, attribute, now)


def compare(value: Any, sign: str, wanted: Value, attribute: str, now: int) -> bool:
    if attribute in TIMES:
        return compare_time(value, sign, wanted, now)
    if attribute == "duration" and isinstance(wanted, Text) and parse_duration(wanted.value) is not None:
        return compare_plain(value, sign, parse_duration(wanted.value))
    if attribute in HASHES and isinstance(wanted, Text) and re.fullmatch("(?i)[0-9a-f]{4,64}", wanted.value):
        start = wanted.value.lower()
        if sign in ("=", "!="):
            return value.startswith(start) == (sign == "=")
        return ORDERS[sign](value, start)
    if attribute == "digest" and isinstance(wanted, Text) and sign in ("=", "!="):
        return fits_digest(value, wanted.value) == (sign == "=")
    if attribute == "status":
        return ORDERS[sign](value, wanted.value.upper())  # type: ignore[union-attr]
    if attribute == "experiment":
        return ORDERS[sign](value, make_slug(wanted.value))  # type: ignore[arg-type]
    return compare_mixed(value, sign, wanted)


def fits_digest(digest: str, wanted: str) -> bool:
    """Tell whether a digest is the wanted one, or begins so: with four hex digits, or a scheme and four characters."""
    if re.fullmatch("(?i)[0-9a-f]{4,64}", wanted):
        behind = digest.split(":", 1)[1] if ":" in digest else digest
        return digest.startswith(wanted.lower()) or behind.startswith(wanted.lower())
    return digest == wanted or (":" in wanted and len(wanted.split(":", 1)[1]) >= 4 and digest.startswith(wanted))


def compare_time(value: int, sign: str, wanted: Value, now: int) -> bool:
    moment = make_moment(wanted.value) if isinstance(wanted, Number) else parse_moment(str(wanted.value), now=now)
    assert isinstance(moment, Moment)
    within = moment.first <= value < moment.end
    before, after = value < moment.first, value >= moment.end
    return {
        "=": within,
        "!=": not within,
        "<": before,
        "<=": before or within,
        ">": after,
        ">=": after or within,
    }[sign]


def compare_mixed(value: Any, sign: str, wanted: Value) -> bool:
    """Compare like with like; things of different kinds are different, and have no order."""
    if isinstance(wanted, Flag):
        if isinstance(value, str):
            return (value.lower() == str(wanted.value).lower()) == (sign == "=")
        return compare_plain(value, sign, wanted.value) if isinstance(value, bool) else sign == "!="
    if isinstance(wanted, Number):
        number = spelled_number(value) if isinstance(value, str) else None if isinstance(value, bool) else value
        return sign == "!=" if number is None else compare_plain(number, sign, wanted.value)
    if isinstance(value, str):
        return ORDERS[sign](value, wanted.value)
    if isinstance(value, bool):
        known = {"true": True, "false": False}.get(wanted.value.lower())
        return (value == known) == (sign == "=") if known is not None and sign in ("=", "!=") else sign == "!="
    literal = exact_number(wanted.value)
    return sign == "!=" if literal is None else compare_plain(value, sign, literal)


def compare_plain(value: Any, sign: str, wanted: Any) -> bool:
    if isinstance(wanted, float) and math.isnan(wanted) and sign in ("=", "!="):
        return (isinstance(value, float) and math.isnan(value)) == (sign == "=")
    return ORDERS[sign](value, wanted)


def exact_number(text: str) -> float | int | None:
    return int(text) if re.fullmatch("[+-]?[0-9]+", text) else spelled_number(text)


def spelled_number(text: str) -> float | None:
    if re.fullmatch(r"(?i)[+-]?(([0-9]+(\.[0-9]*)?|\.[0-9]+)(e[+-]?[0-9]+)?|inf|infinity|nan)", text):
        return float(text)
    return None


def spell(value: Any) -> str:
    return value if isinstance(value, str) else repr(value)


def fits(text: str, pattern: str, *, fold: bool) -> bool:
    """Tell whether a LIKE pattern fits a text, character by character."""
    if fold:
        text, pattern = text.lower(), pattern.lower()
    reached = {0}
    for token in re.findall(r"\\[%_\\]|.", pattern, re.DOTALL):
        if token == "%":
            reached = set(range(min(reached), len(text) + 1)) if reached else reached
        else:
            reached = {at + 1 for at in reached if at < len(text) and token in ("_", text[at], "\\" + text[at])}
    return len(text) in reached
