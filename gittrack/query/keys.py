"""Finds out which column of a frame a key means, and says which keys there are where it means none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from ..errors import NotFound
from ..frame.arrays import join_chunks
from ..frame.schema import PARAMS, PRESENCE
from .complaint import point_at, suggest
from .keytext import quote_name, write_key
from .numeric import subtract_times
from .tree import Group, Key, Query, SortKey
from .vocabulary import ATTRIBUTES, DEFAULT_FIELDS, Kind, get_field_kind, get_fields

if TYPE_CHECKING:
    import pyarrow as pa

    from ..frame import Frame

_GROUPS: tuple[Group, ...] = ("metrics", "params", "tags", "inputs")
_BARE = _GROUPS[:3]


@dataclass(frozen=True)
class Column:
    """What a key means in a frame: an attribute, or a key of a table and one of its fields.

    `table` is `runs` for attributes; `key` is then the attribute's name, and of `datasets` empty. `field` is named as
    in the frame, and empty for attributes, params and tags. `name` is what `gittrack ls --columns` calls it.
    """

    table: Literal["runs", "params", "metrics", "tags", "inputs", "datasets"]
    key: str
    field: str
    kind: Kind

    @property
    def name(self) -> str:
        if self.table == "runs":
            return self.key
        if self.table == "datasets":
            return f"dataset.{self.field}"
        group = "input" if self.table == "inputs" else self.table
        shown = "" if self.field in ("", "last") else f".{self.field}"
        return f"{group}.{self.key}{shown}"


def find_column(key: Key, frame: Frame) -> Column | None:
    """Return the column a key means in a frame, or None where no run has such a key.

    Where nothing is quoted, a key that is there as a whole comes before a field of a shorter key.
    """
    if key.group == "attributes":
        return Column("runs", key.name, "", ATTRIBUTES[key.name])
    if key.group == "datasets":
        return Column("datasets", "", key.field, get_field_kind("datasets", key.field))
    if key.group == "any":
        found = [column for group in _BARE if (column := find_column(_move(key, group), frame)) is not None]
        return found[0] if len(found) == 1 else None
    if has_key(frame, key.group, key.name):
        return make_column(key)
    shorter, _, word = key.name.rpartition(".")
    field = get_fields(key.group).get(word)
    if key.exact or field is None or not shorter or not has_key(frame, key.group, shorter):
        return None
    return make_column(Key(key.group, shorter, field))


def make_column(key: Key) -> Column:
    """Return the column of a key of params, metrics, tags or inputs whose name is a whole key."""
    if key.group == "params" or key.group == "tags":
        return Column(key.group, key.name, "", "param" if key.group == "params" else "label")
    field = key.field or DEFAULT_FIELDS[key.group]
    table: Literal["metrics", "inputs"] = "metrics" if key.group == "metrics" else "inputs"
    return Column(table, key.name, field, get_field_kind(key.group, field))


def get_column(key: Key, frame: Frame, *, text: str) -> Column:
    """Return the column a key means; raises InvalidInput, pointing into text and naming close keys, where none."""
    column = find_column(key, frame)
    if column is None:
        raise _complain(key, frame, text)
    return column


def get_values(column: Column, frame: Frame) -> pa.Array:
    """Return the values of a column, one a row of the frame, null where a run has none; not for params and datasets."""
    if column.table == "runs" and column.key == "duration":
        ended, started = frame.get_attribute("ended"), frame.get_attribute("started")
        return subtract_times(join_chunks(ended), join_chunks(started))
    if column.table == "runs":
        return join_chunks(frame.get_attribute(column.key.replace(".", "_")))
    return _get_field(frame, column.table, column.key, column.field or "text")


def get_param(key: str, frame: Frame) -> tuple[pa.Array, pa.Array, pa.Array]:
    """Return a param's kinds, numbers and texts, one a row of the frame, as gittrack.frame.schema says."""
    return (
        _get_field(frame, PARAMS, key, "kind"),
        _get_field(frame, PARAMS, key, "number"),
        _get_field(frame, PARAMS, key, "text"),
    )


def _get_field(frame: Frame, table: str, key: str, field: str) -> pa.Array:
    """Return a field as one array: before version 23 pyarrow is wrong about columns in chunks of different lengths."""
    values = frame.get_column(table, key, field)
    if values is None:
        raise NotFound(f"no run has {table} {key!r:.100}")
    return join_chunks(values)


def check_keys(query: Query | Sequence[SortKey], frame: Frame) -> None:
    """Raise InvalidInput for the first key of a query or an order that no visible run of the frame has.

    The error points at the key; its hint is the nearest keys there are.
    """
    if isinstance(query, Query):
        for key in query.keys:
            get_column(key, frame, text=query.text)
    else:
        for rank in query:
            get_column(rank.key, frame, text=rank.text)


def has_key(frame: Frame, table: str, key: str) -> bool:
    """Tell whether a visible run of the frame has this key."""
    import pyarrow.compute as pc

    present = frame.get_column(table, key, PRESENCE[table])
    if present is None:
        return False
    if frame.count == frame.height:
        return bool(present.null_count < len(present))
    return bool(pc.any(pc.and_(join_chunks(present).is_valid(), frame.visible)).as_py())


def _move(key: Key, group: Group) -> Key:
    return Key(group, key.name, exact=key.exact, start=key.start)


def _complain(key: Key, frame: Frame, text: str) -> Exception:
    if key.group != "any":
        kind = {"metrics": "a metric", "params": "a param", "tags": "a tag", "inputs": "an input"}[key.group]
        message = f"no run has {kind} {key.name!r:.60}"
        return point_at(text, key.start, message, hint=_suggest_keys(key, frame))
    found = [column for group in _BARE if (column := find_column(_move(key, group), frame)) is not None]
    if found:
        names = " or ".join(f"{column.table}.{quote_name(key.name)}" for column in found)
        return point_at(text, key.start, f"{key.name!r:.60} may be several things", hint=names)
    message = f"no attribute, metric, param or tag is called {key.name!r:.60}"
    return point_at(text, key.start, message, hint=_suggest_keys(key, frame))


def _suggest_keys(key: Key, frame: Frame) -> str | None:
    """Return the keys there are that come close: of the same group first, then of any."""
    tables: dict[Group, list[str]] = {group: list(frame.list_keys(group)) for group in _GROUPS}
    exact: list[Key] = [Key(group, key.name) for group in tables if key.name in tables[group]]
    if exact:
        return " or ".join(map(write_key, exact))
    name, field = key.name, key.field
    if key.group in tables:
        shorter, _, word = name.rpartition(".")
        if not key.exact and shorter and word in get_fields(key.group):
            name, field = shorter, get_fields(key.group)[word]
        close = [Key(key.group, found, field) for found in suggest(name, tables[key.group])]
        if close:
            return " or ".join(map(write_key, close))
    everywhere: dict[str, Key] = {found: Key(group, found) for group in reversed(tables) for found in tables[group]}
    everywhere.update({attribute: Key("attributes", attribute) for attribute in ATTRIBUTES})
    return " or ".join(write_key(everywhere[found]) for found in suggest(name, list(everywhere))) or None
