"""What a failed fetch or push means: git's own words, sorted by what a person can do about them.

The words are git's in the C locale, and those of the common hosts. Pure text in, errors out.
"""

from __future__ import annotations

import re
from typing import Literal

from ..errors import RemoteFailed
from ..git import Ended
from .progress import find_step

Reason = Literal[
    "authentication",
    "forbidden",
    "read-only",
    "disk-full",
    "missing",
    "unreachable",
    "interrupted",
    "refused",
    "damaged",
    "unknown",
]

# The first pattern that is found counts, so the particular stand before the general.
_PATTERNS: tuple[tuple[Reason, str], ...] = (
    ("disk-full", r"No space left on device|disk quota exceeded|Disk quota exceeded|out of disk space"),
    (
        "read-only",
        r"Read-only file system|insufficient permission for adding an object|unable to create temporary object dir"
        r"|service not enabled: '?/?git-receive-pack|access denied or repository not exported|Permission denied\s*$"
        r"|unable to migrate objects|Permission denied: |cannot lock ref.*Permission denied|repository is read-only",
    ),
    (
        "authentication",
        r"Authentication failed|could not read (?:Username|Password)|terminal prompts disabled|Permission denied \("
        r"|Host key verification failed|returned error: 401|Invalid username or (?:password|token)"
        r"|HTTP Basic: Access denied",
    ),
    (
        "missing",
        r"does not appear to be a git repository|[Rr]epository .*not found|returned error: 404|not a git repository"
        r"|No such file or directory|Project not found|could not be found",
    ),
    ("forbidden", r"returned error: 403|Permission to .* denied|You are not allowed|not allowed to push|insufficient"),
    (
        "unreachable",
        r"Could not resolve host|Couldn't resolve host|Connection refused|Connection timed out|Connection reset"
        r"|Network is unreachable|No route to host|Failed to connect|Operation timed out|Temporary failure in name"
        r"|unable to look up|unable to connect to|Could not resolve hostname|transport '.*' not allowed"
        r"|SSL certificate problem|server certificate verification failed",
    ),
    ("damaged", r"fsck error|bad object|index-pack failed|unpack-objects (?:error|failed)|object .* corrupt"),
    (
        "interrupted",
        r"hung up unexpectedly|early EOF|RPC failed|unexpected disconnect|Broken pipe|expected flush|timed out"
        r"|bad line length|protocol error|curl \d+|premature end|remote failed to report status"
        r"|invalid index-pack output|expected .*packet|unpack failed|the remote end hung up|returned error: 5\d\d"
        r"|signal 13|unexpected end",
    ),
)

_MEANINGS: dict[Reason, str] = {
    "authentication": "{name} does not accept who you are",
    "forbidden": "you may not write to {name}",
    "read-only": "{name} cannot be written to",
    "disk-full": "the disk of {name} is full",
    "missing": "there is no repository at {name}",
    "unreachable": "{name} cannot be reached",
    "interrupted": "the connection to {name} was lost",
    "refused": "{name} refuses this",
    "damaged": "what {name} sent is damaged",
    "unknown": "{name} could not be used",
}


class TransportFailed(RemoteFailed):
    """A fetch or push that failed as a whole. `reason` sorts it; `passing` tells that it may work in a while."""

    def __init__(self, message: str, *, reason: Reason, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.reason = reason

    @property
    def passing(self) -> bool:
        """Whether the same may work in a while, without anybody changing anything."""
        return self.reason in ("unreachable", "interrupted")


def explain(ended: Ended, *, remote: str, action: Literal["fetch", "push"]) -> TransportFailed:
    """Return the error for a git command that failed: what it means, what git said, what to type."""
    said = _pick_words(ended.stderr)
    reason = find_reason(ended.stderr)
    meaning = _MEANINGS[reason].format(name=remote)
    return TransportFailed(f"{meaning}: {said}" if said else meaning, reason=reason, hint=_hint(reason, remote, action))


def find_reason(said: str) -> Reason:
    """Return what git's error output is about."""
    return next((reason for reason, pattern in _PATTERNS if re.search(pattern, said, re.MULTILINE)), "unknown")


def _pick_words(said: str) -> str:
    """Return the lines that tell why, in one line: no progress, no advice that every failure has."""
    lines = [line.strip() for line in said.splitlines() if find_step(line) is None]
    lines = [re.sub(r"^(fatal|error|remote: fatal|remote: error): ", "", line) for line in lines if line]
    dull = (
        r"Please make sure you have the correct access rights|and the repository exists\.|failed to push some refs to"
    )
    lines = [line for line in lines if not re.match(dull, line)]
    return "; ".join(dict.fromkeys(lines))[:600]


def _hint(reason: Reason, remote: str, action: str) -> str:
    if reason in ("authentication", "forbidden"):
        return f"git {'push --dry-run' if action == 'push' else 'ls-remote'} {remote}  # git itself has to get in first"
    if reason == "missing":
        return f"git remote get-url {remote}  # and: git remote set-url {remote} URL"
    if reason in ("unreachable", "interrupted"):
        return f"gittrack {action} {remote}  # safe to repeat"
    if reason in ("disk-full", "read-only"):
        return f"gittrack {action} {remote}  # once its owner has made it writable; nothing is lost here"
    if reason == "damaged":
        return f"git fsck  # in the repository behind {remote}"
    return f"git ls-remote {remote}"
