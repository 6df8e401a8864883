"""Many runs as columns: segments of them (`segment`, `builder`), and frames of segments (`frame`).

Values in, values out: knows nothing of git, files or clocks. pyarrow is imported where it is used, to keep importing
this quick. What each column is, `schema` says.
"""

from __future__ import annotations

from .builder import RunRecord, SegmentBuilder, build_segment, join_words, pack_metric
from .frame import Frame, join_frames
from .segment import Block, KeyedTable, Segment
from .tall import compact_frame

__all__ = [
    "Block",
    "Frame",
    "KeyedTable",
    "RunRecord",
    "Segment",
    "SegmentBuilder",
    "build_segment",
    "compact_frame",
    "join_frames",
    "join_words",
    "pack_metric",
]
