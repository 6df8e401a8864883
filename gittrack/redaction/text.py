"""Looks for a text in everything that a snapshot says, and replaces it. Pure; FORMAT.md names the places."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import BinaryIO, TypeVar
from urllib.parse import quote

from ..errors import InvalidInput
from ..model import Fact, Failure, Input, LeftOut, Run, Snapshot, SourceLink
from .places import ENVIRONMENT, REDACTED

SHORTEST = 4
_CHUNK = 1 << 20

V = TypeVar("V")


def spell_text(texts: Iterable[str]) -> tuple[str, ...]:
    """Return texts in each way they may be written, longest first: as they are, in JSON, in a URL.

    Raises InvalidInput for one of less than four characters: too much would hold it.
    """
    spellings: set[str] = set()
    for text in texts:
        if len(text) < SHORTEST:
            raise InvalidInput(f"a text to redact needs {SHORTEST} characters or more: {text!r}")
        raw = text.encode("utf-8", "surrogateescape")
        spellings.update((text, json.dumps(text)[1:-1], json.dumps(text, ensure_ascii=False)[1:-1]))
        spellings.update((quote(raw), quote(raw, safe="")))
    return tuple(sorted(spellings, key=lambda spelling: (-len(spelling), spelling)))


class TextSearch:
    """Replaces a text wherever it stands, and remembers in which places it did.

    `places` maps each place to how often the text stood there. Where a *name* holds the text (of a param, a tag, a
    metric, a file), the place is said without it.
    """

    def __init__(self, spellings: Iterable[str]) -> None:
        self._spellings = tuple(spellings)
        raw = [spelling.encode("utf-8", "surrogateescape") for spelling in self._spellings]
        self._pattern = re.compile("|".join(map(re.escape, self._spellings)) or "(?!)")
        self._raw_pattern = re.compile(b"|".join(map(re.escape, raw)) or b"(?!)")
        self._longest = max(map(len, raw), default=1)
        self.places: dict[str, int] = {}

    def occurs(self, text: str) -> bool:
        """Tell whether a text holds what is looked for."""
        return self._pattern.search(text) is not None

    def note(self, place: str, count: int = 1) -> None:
        """Remember that the text stood in a place."""
        self.places[place] = self.places.get(place, 0) + count

    def replace(self, text: str, place: str) -> str:
        """Return a text without what is looked for."""
        clean, count = self._pattern.subn(REDACTED, text)
        if count:
            self.note(place, count)
        return clean

    def snapshot(self, snapshot: Snapshot) -> Snapshot:
        """Return a snapshot that says the text nowhere; a metric or an artifact whose name holds it is taken out."""
        return replace(
            snapshot,
            run=self._run(snapshot.run),
            params=self._values(snapshot.params, "params"),
            summary=self._named(snapshot.summary, "metrics."),
            artifacts=self._named(snapshot.artifacts, "artifacts/"),
            environment=self._object(snapshot.environment, ENVIRONMENT),
        )

    def replace_bytes(self, data: bytes) -> tuple[bytes, int]:
        """Return bytes without what is looked for, and how often it stood there."""
        return self._raw_pattern.subn(REDACTED.encode(), data)

    def replace_stream(self, file: BinaryIO) -> Iterator[bytes]:
        """Yield the bytes of a file without what is looked for, a piece at a time."""
        held = b""
        while chunk := file.read(_CHUNK):
            held += chunk
            end = len(held) - self._longest + 1
            at = 0
            for match in self._raw_pattern.finditer(held):
                if match.start() >= end:
                    break
                yield held[at : match.start()] + REDACTED.encode()
                at = match.end()
            end = max(at, end)
            yield held[at:end]
            held = held[end:]
        yield self.replace_bytes(held)[0]

    def inspect(self, file: BinaryIO) -> tuple[int, bool]:
        """Return how often a file holds the text, and whether it is a binary one: one that holds a zero byte."""
        count, binary, held = 0, False, b""
        while chunk := file.read(_CHUNK):
            binary = binary or b"\0" in chunk
            held += chunk
            end = len(held) - self._longest + 1
            at = 0
            for match in self._raw_pattern.finditer(held):
                if match.start() >= end:
                    break
                count, at = count + 1, match.end()
            held = held[max(at, end) :]
        return count + len(self._raw_pattern.findall(held)), binary

    def _run(self, run: Run) -> Run:
        failure = run.failure
        if failure is not None:
            failure = Failure(*(self.replace(text, "failure") for text in vars(failure).values()))
        return replace(
            run,
            name=self.replace(run.name, "name"),
            note=self.replace(run.note, "note"),
            user=self.replace(run.user, "user"),
            host=self.replace(run.host, "host"),
            incomplete=self.replace(run.incomplete, "incomplete"),
            command=tuple(self.replace(word, "command") for word in run.command),
            tags=self._values(run.tags, "tags"),
            inputs=tuple(map(self._input, run.inputs)),
            failure=failure,
            source=self._source(run.source),
        )

    def _input(self, entry: Input) -> Input:
        def clean(fact: Fact) -> Fact:
            return self.replace(fact, "inputs") if isinstance(fact, str) else fact

        name, path, context = (self.replace(text, "inputs") for text in (entry.name, entry.path, entry.context))
        facts = tuple((key, clean(fact)) for key, fact in entry.facts)
        return replace(entry, name=name, path=path, context=context, facts=facts)

    def _source(self, source: SourceLink) -> SourceLink:
        def clean(text: str | None, place: str) -> str | None:
            return None if text is None else self.replace(text, place)

        def clean_entry(entry: LeftOut) -> LeftOut:
            return replace(entry, path=self.replace(entry.path, "source.left_out"))

        return replace(
            source,
            branch=clean(source.branch, "source.branch"),
            remote=clean(source.remote, "source.remote"),
            directory=self.replace(source.directory, "source.directory"),
            left_out=tuple(map(clean_entry, source.left_out)),
        )

    def _values(self, values: Mapping[str, V], kind: str) -> dict[str, V]:
        clean: dict[str, V] = {}
        for key, value in values.items():
            name = self._pattern.sub(REDACTED, key)
            if name != key:
                self.note(f"{kind}.{REDACTED}")
                while name in values or name in clean:
                    name += "~"
            clean[name] = self.replace(value, f"{kind}.{name}") if isinstance(value, str) else value  # type: ignore[assignment]
        return clean

    def _named(self, values: Mapping[str, V], head: str) -> dict[str, V]:
        kept = {name: value for name, value in values.items() if not self.occurs(name)}
        if len(kept) < len(values):
            self.note(head + REDACTED, len(values) - len(kept))
        return kept

    def _object(self, value: Mapping[str, object], place: str) -> dict[str, object]:
        return {self.replace(key, place): self._any(inner, place) for key, inner in value.items()}

    def _any(self, value: object, place: str) -> object:
        if isinstance(value, str):
            return self.replace(value, place)
        if isinstance(value, Mapping):
            return self._object(value, place)
        return [self._any(inner, place) for inner in value] if isinstance(value, (list, tuple)) else value
