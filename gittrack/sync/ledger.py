"""Remembers, on this machine, which content is known to be at a place, so that nobody has to be asked for it.

Two files for each place: `known` has the sha256 of a content in each line, `seen` the commit of each experiment up to
which nothing that is here has to be sent. Both are disposable: without them less is known, and to ask brings it back.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from functools import cached_property
from pathlib import Path

from .. import layout
from ..model import Pointer


class Ledger:
    """What is known of one place, by its address. Nothing here raises: what cannot be kept is not known."""

    def __init__(self, common_directory: Path, address: str) -> None:
        digest = hashlib.sha256(address.encode("utf-8", "surrogatepass")).hexdigest()[:16]
        self._directory = layout.content_directory(common_directory) / digest
        self._address = address

    @cached_property
    def known(self) -> set[str]:
        """The sha256 of everything that is known to be there."""
        with suppress(OSError):
            text = (self._directory / "known").read_text(encoding="ascii", errors="replace")
            return {line for line in text.split("\n") if re.fullmatch("[0-9a-f]{64}", line)}
        return set()

    def learn(self, *, there: Iterable[Pointer] = (), absent: Iterable[Pointer] = ()) -> None:
        """Note that some content is there, and that other content is not, whatever was known of it."""
        new = {pointer.oid for pointer in there if pointer.size} - self.known
        lost = {pointer.oid for pointer in absent} & self.known
        self.known.update(new)
        if lost:
            self.known.difference_update(lost)
            self._replace("known", "\n".join(sorted(self.known)) + "\n")
            self._replace("seen", "{}")
        elif new:
            with suppress(OSError):
                self._prepare()
                # What a process was killed over is a line of its own, which is passed over.
                with (self._directory / "known").open("a", encoding="ascii") as file:
                    file.write("\n" + "\n".join(sorted(new)) + "\n")

    def list_seen(self) -> Mapping[str, str]:
        """Return up to which commit each experiment was looked through, and nothing was to be sent; by slug."""
        try:
            found = json.loads((self._directory / "seen").read_text(encoding="utf-8"))
            return {slug: id for slug, id in found.items() if re.fullmatch("[0-9a-f]{40,64}", id)}
        except (OSError, ValueError, AttributeError, TypeError):
            return {}

    def note_seen(self, tips: Mapping[str, str]) -> None:
        """Note up to which commits nothing has to be sent."""
        known = self.list_seen()
        if known != {**known, **tips}:
            self._replace("seen", json.dumps({**known, **tips}, indent=0, sort_keys=True))

    def _prepare(self) -> None:
        self._directory.mkdir(parents=True, exist_ok=True)
        if not (self._directory / "place").exists():
            (self._directory / "place").write_text(self._address + "\n", encoding="utf-8", errors="replace")

    def _replace(self, name: str, text: str) -> None:
        with suppress(OSError):
            self._prepare()
            temporary = self._directory / f"{name}.{os.getpid()}"
            temporary.write_text(text, encoding="utf-8")
            os.replace(temporary, self._directory / name)
