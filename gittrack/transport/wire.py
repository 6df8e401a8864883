"""Owns how git is started for the network: what it may ask a person, what it checks, how long it may be silent."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ..git import DURABLE, Ended, Git, clean_text
from .failure import TransportFailed, explain
from .progress import Report, find_step, ignore
from .remote import Remote

# Objects are checked as they come in. What is larger than the threshold is written to disk as it comes, and so never
# needs its size in memory. A gc in the middle of it all would only be in the way: it is offered afterwards.
_OPTIONS = (
    *DURABLE,
    "-c",
    "transfer.fsckObjects=true",
    "-c",
    "fetch.fsckObjects=true",
    "-c",
    "core.bigFileThreshold=16m",
    "-c",
    "gc.auto=0",
    "-c",
    "maintenance.auto=false",
)
_SILENT = {"GIT_TERMINAL_PROMPT": "0", "GCM_INTERACTIVE": "never", "SSH_ASKPASS_REQUIRE": "never"}
# Nobody looks at a push in the background, so nobody would end one that hangs.
_PATIENCE = 600.0


@dataclass(frozen=True)
class Wire:
    """The way to one remote of the repository in `directory`.

    `purpose` is the gittrack command that is under way, for the line to paste. `interactive` lets git ask the person at
    the terminal for a password; without it a missing one is an error at once.
    `report` is called with each step git tells of. `names` are the experiments that the command was given.
    """

    directory: Path
    remote: Remote
    purpose: str = "fetch"
    interactive: bool = False
    report: Report = ignore
    names: tuple[str, ...] = ()

    def ask(self, *args: str, input: bytes = b"", environment: dict[str, str] | None = None) -> Ended:
        """Run one git command over the wire, however it ends."""
        extra = {**({} if self.interactive else _SILENT), **(environment or {})}

        def hear(line: str) -> None:
            step = find_step(line)
            if step is not None:
                self.report(step)

        git = Git(self.directory, environment=extra)
        patience = None if self.interactive else _PATIENCE
        return git.watch(*_OPTIONS, *args, on_line=hear, input=input, patience=patience)

    def explain(self, said: str, *, writing: bool = False) -> TransportFailed:
        """Return the error for what git said when it failed; `writing` where it was to push."""
        name = clean_text(self.remote.name.encode())  # of a clone it is the address
        return explain(said, remote=name, purpose=self.purpose, writing=writing, names=self.names)
