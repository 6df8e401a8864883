"""Owns the manifest of an experiment's index: the small file that says which segments count and what they cover.

A line with the crc32 of the rest, as 8 hex digits, then one JSON object. Pure: values to bytes and back.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from dataclasses import asdict, replace
from typing import Any
from zlib import crc32

from ..dropped import Dropped
from ..frame.arrays import pack_flags
from ..model import Experiment
from .finding import Damage, Order
from .segment_file import IndexDamaged, read_stored
from .state import Piece, Record, State, StoredSegment

# Part of the index's path: an index of another version is another one.
VERSION = 2


def encode_manifest(state: State, *, namespace: str) -> bytes:
    """Return the manifest of a state whose pieces all have files."""
    record = state.record
    body = {
        "slug": state.slug,
        "namespace": namespace,
        "tips": state.tips,
        "heads": state.heads,
        "shallow": state.shallow,
        "record": None if record is None else {"order": record.order, "experiment": _spread(record.experiment)},
        "dropped": {run_id: sorted(marks) for run_id, marks in state.dropped.marks.items()},
        "damages": [damage._asdict() for damage in state.damages],
        "segments": [_describe(piece) for piece in state.pieces],
    }
    text = json.dumps(body, separators=(",", ":")).encode()
    return b"%08x\n%s" % (crc32(text), text)


def decode_manifest(data: bytes, *, slug: str, namespace: str, open_piece: Callable[[StoredSegment], Piece]) -> State:
    """Return the state that a manifest describes, its pieces opened by `open_piece`.

    Raises IndexDamaged where it is not what `encode_manifest` wrote for this experiment, and what `open_piece` raises.
    """
    checksum, _, text = data.partition(b"\n")
    if checksum != b"%08x" % crc32(text):
        raise IndexDamaged("the manifest's checksum is wrong")
    try:
        body = json.loads(text)
        if (body["slug"], body["namespace"]) != (slug, namespace):
            raise IndexDamaged(f"the manifest is that of {body['slug']!r:.100}")
        described = [(read_stored(entry), entry["hidden"]) for entry in body["segments"]]
        record = body["record"]
        state = State(
            slug,
            tips=tuple(body["tips"]),
            heads=tuple(body["heads"]),
            shallow=body["shallow"],
            record=record and Record(_read_order(record["order"]), Experiment(**record["experiment"])),
            damages=tuple(_read_damage(entry) for entry in body["damages"]),
            dropped=Dropped({run_id: frozenset(marks) for run_id, marks in body["dropped"].items()}),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise IndexDamaged(f"the manifest makes no sense ({error!r})") from error
    pieces = []
    for stored, hidden in described:
        piece = open_piece(stored)
        pieces.append(replace(piece, hidden=_unpack(hidden, piece.height)))
    return replace(state, pieces=tuple(pieces))


def _spread(experiment: Experiment) -> dict[str, Any]:
    return {**vars(experiment), "tags": dict(experiment.tags)}


def _describe(piece: Piece) -> dict[str, Any]:
    if piece.file is None:
        raise ValueError("a piece without a file cannot stand in a manifest")
    return {**asdict(piece.file), "hidden": base64.b64encode(pack_flags(piece.hidden)).decode()}


def _read_damage(entry: dict[str, Any]) -> Damage:
    return Damage(**{**entry, "order": entry["order"] and _read_order(entry["order"])})


def _read_order(value: list[Any]) -> Order:
    revision, time, commit = value
    return revision, time, commit


def _unpack(hidden: str, height: int) -> bytes:
    """Return a byte for each row, or none at all where nothing is hidden."""
    packed = int.from_bytes(base64.b64decode(hidden), "little")
    return bytes(packed >> row & 1 for row in range(height)) if packed else b""
