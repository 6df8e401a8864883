"""Metric points as columns: sorted tables (`table`), summaries (`summary`), and the Parquet parts a run keeps (`part`).

Values in, values out: knows nothing of runs, git, files or clocks. pyarrow is imported where it is used, to keep
`import gittrack.series` quick.
"""

from __future__ import annotations

from .part import (
    MAX_PART_METRICS,
    MAX_PART_POINTS,
    MAX_READ_BYTES,
    MAX_READ_POINTS,
    decode_part,
    encode_part,
    encode_parts,
)
from .summary import SummaryBuilder, summarize
from .table import Columns, build_table, drop_metrics, merge_tables, select_series, table_schema, union_tables

__all__ = [
    "MAX_PART_METRICS",
    "MAX_PART_POINTS",
    "MAX_READ_BYTES",
    "MAX_READ_POINTS",
    "Columns",
    "SummaryBuilder",
    "build_table",
    "decode_part",
    "drop_metrics",
    "encode_part",
    "encode_parts",
    "merge_tables",
    "select_series",
    "summarize",
    "table_schema",
    "union_tables",
]
