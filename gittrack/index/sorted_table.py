"""Owns tables of equally long entries that are sorted by their first bytes, searched where they lie.

Pure: bytes in, values out. Nothing is copied or built before a search, so a mapped file of a million entries costs
nothing until it is asked, and then twenty comparisons.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

_ROW_BYTES = 4
RUN_ID_BYTES = 16


class SortedTable:
    """Entries of `width` bytes each, sorted by their first `key` bytes, none of which stand twice."""

    def __init__(self, data: memoryview | bytes, *, width: int, key: int) -> None:
        self.data = memoryview(data)
        self._width = width
        self._key = key
        self._count = len(data) // width

    def __len__(self) -> int:
        return self._count

    def find(self, key: bytes) -> bytes | None:
        """Return what follows a key in its entry, or None where there is no such entry."""
        low, high = 0, self._count
        data, width, length = self.data, self._width, self._key
        while low < high:
            middle = (low + high) // 2
            start = middle * width
            found = data[start : start + length].tobytes()
            if found == key:
                return data[start + length : start + width].tobytes()
            if found < key:
                low = middle + 1
            else:
                high = middle
        return None

    def __iter__(self) -> Iterator[bytes]:
        width = self._width
        return (self.data[start : start + width].tobytes() for start in range(0, self._count * width, width))


def build_commit_table(ids: Iterable[str], *, width: int) -> SortedTable:
    """Return the table of some commits, given as hex; `width` is the bytes of an id."""
    return SortedTable(b"".join(sorted({bytes.fromhex(id) for id in ids})), width=width, key=width)


def join_commit_tables(tables: Iterable[SortedTable], *, width: int) -> SortedTable:
    """Return the union of tables of commits."""
    return SortedTable(b"".join(sorted({id for table in tables for id in table})), width=width, key=width)


def build_row_table(run_ids: Sequence[str]) -> SortedTable:
    """Return the table that finds the row of a run, given the ids of the runs row by row."""
    entries = sorted(bytes.fromhex(id) + row.to_bytes(_ROW_BYTES, "big") for row, id in enumerate(run_ids))
    return read_row_table(b"".join(entries))


def read_row_table(data: memoryview | bytes) -> SortedTable:
    """Return the table that `build_row_table` laid out as these bytes."""
    return SortedTable(data, width=RUN_ID_BYTES + _ROW_BYTES, key=RUN_ID_BYTES)


def find_row(table: SortedTable, run_id: str) -> int | None:
    """Return the row of a run, or None."""
    found = table.find(bytes.fromhex(run_id))
    return None if found is None else int.from_bytes(found, "big")
