"""What a failed fetch or push means: git's own words, sorted by what a person can do about them.

The words are git's in the C locale, and those of the common hosts. Pure text in, errors out.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal

from ..errors import RemoteFailed
from .progress import find_step

Reason = Literal[
    "refused",
    "disk-full",
    "read-only",
    "untrusted",
    "authentication",
    "missing",
    "forbidden",
    "unreachable",
    "busy",
    "damaged",
    "interrupted",
    "unknown",
]

# The first pattern that is found counts, so the particular stand before the general.
_PATTERNS: tuple[tuple[Reason, str], ...] = (
    ("disk-full", r"No space left on device|[Dd]isk quota exceeded|out of disk space"),
    (
        "read-only",
        r"Read-only file system|insufficient permission for adding an object|unable to create temporary object dir"
        r"|service not enabled: '?/?git-receive-pack|unable to migrate objects|repository is read-only"
        r"|cannot (?:lock ref|open|mkdir).*Permission denied",
    ),
    ("refused", r"hook declined|[Pp]rotected branch|\bGH[0-9]{3}\b|deny(?:ing)? |push declined|cannot be updated"),
    ("untrusted", r"Host key verification failed|SSL certificate problem|certificate verification failed"),
    (
        "authentication",
        r"Authentication failed|could not read (?:Username|Password)|terminal prompts disabled|Permission denied \("
        r"|returned error: 401|Invalid username or (?:password|token)|HTTP Basic: Access denied",
    ),
    (
        "missing",
        r"does not appear to be a git repository|[Rr]epository .*not found|returned error: 404|not a git repository"
        r"|access denied or repository not exported|[Pp]roject .*could not be found|transport '.*' not allowed",
    ),
    (
        "forbidden",
        r"HTTP 403|returned error: 403|Permission to .* denied|[Yy]ou are not allowed|not allowed to (?:push|pull)"
        r"|(?m:Permission denied\s*$)",
    ),
    (
        "unreachable",
        r"[Cc]ould(?: not|n't) resolve host|Connection refused|Connection timed out|Network is unreachable"
        r"|No route to host|[Ff]ailed to connect|Operation timed out|Temporary failure in name|unable to look up"
        r"|unable to connect to|Name or service not known",
    ),
    ("busy", r"returned error: (?:429|5\d\d)|HTTP (?:429|5\d\d)|[Tt]oo many requests|try again later"),
    ("damaged", r"fsck error|bad object|bad pack|inflate returned|index-pack failed|object .* corrupt"),
    (
        "interrupted",
        r"hung up|Empty reply from server|early EOF|RPC failed|unexpected disconnect|[Bb]roken pipe|expected flush"
        r"|timed out|Connection reset|bad line length|protocol error|curl \d+|premature end|failed to report status"
        r"|unexpected end|invalid index-pack output|expected .*packet|unpack failed|signal 1[35]"
        r"|Could not read from remote repository",
    ),
)

_MEANINGS: dict[Reason, str] = {
    "refused": "{name} refuses this",
    "disk-full": "the disk of {name} is full",
    "read-only": "{name} cannot be written to",
    "untrusted": "{name} cannot show that it is who it should be",
    "authentication": "{name} does not accept who you are",
    "missing": "there is no repository at {name}",
    "forbidden": "{name} does not let you do this",
    "unreachable": "{name} cannot be reached",
    "busy": "{name} is busy or in trouble",
    "damaged": "what {name} sent is damaged",
    "interrupted": "the connection to {name} was lost",
    "unknown": "{name} could not be used",
}
_OURS = ("disk-full", "read-only")
# Said beside every failure, or beside none.
_DULL = (
    r"Please make sure you have the correct access rights|and the repository exists\.|failed to push some refs to|"
    r"Delta compression using|Total [0-9]+ \(delta|Everything up-to-date|remote:\s*$|To \S+$|hint: |Auto packing|"
    r"warning: (?:redirecting|auto-)"
)


class TransportFailed(RemoteFailed):
    """A fetch or push that failed. `reason` sorts it; `passing` tells that it may work in a while, as things are."""

    def __init__(self, message: str, *, reason: Reason, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.reason = reason

    @property
    def passing(self) -> bool:
        """Whether the same may work in a while, without anybody changing anything."""
        return self.reason in ("unreachable", "busy", "interrupted")


def explain(
    said: str, *, remote: str, purpose: str, writing: bool = False, names: Sequence[str] = ()
) -> TransportFailed:
    """Return the error for a failed command: what it means, what git said, what to type.

    `purpose` is the gittrack command that is under way, such as `push`, `names` the experiments it was given; `writing`
    tells that git's was a push.
    """
    reason = find_reason(said)
    if writing and reason == "missing" and "repository not exported" in said:
        reason = "read-only"  # git daemon says the same of both, and it could be read a moment ago
    words = _pick_words(said)
    # What cannot be written when nothing is pushed is this repository.
    meaning = _MEANINGS[reason].format(name=remote if writing or reason not in _OURS else "this repository")
    message = f"{meaning}: {words}" if words else meaning
    return TransportFailed(
        message,
        reason=reason,
        hint=_hint(reason, remote, f"gittrack {' '.join((purpose, remote, *names))}", writing=writing),
    )


def find_reason(said: str) -> Reason:
    """Return what git's error output is about."""
    return next((reason for reason, pattern in _PATTERNS if re.search(pattern, said)), "unknown")


def _pick_words(said: str) -> str:
    """Return the lines that tell why, in one line: no progress, no advice that every failure has."""
    lines = [line.strip() for line in said.splitlines() if find_step(line) is None]
    lines = [re.sub(r"^(?:(?:remote|fatal|error): )+", "", line) for line in lines]
    lines = [line for line in lines if not re.match(_DULL, line)]
    if len(lines) > 1:
        lines = [line for line in lines if line != "Could not read from remote repository."]
    lines = [line for line in dict.fromkeys(lines) if line]
    # What git sums up has often been said at length just before.
    return "; ".join(line for line in lines if not any(line != other and line in other for other in lines))[:600]


def _hint(reason: Reason, remote: str, again: str, *, writing: bool) -> str:
    if reason in ("unreachable", "busy", "interrupted"):
        return f"{again}  # nothing is lost, and it is safe to repeat"
    if reason == "missing":
        return "gittrack clone URL" if again.startswith("gittrack clone ") else f"git remote set-url {remote} URL"
    if reason == "disk-full":
        return f"{again}  # once there is room; nothing is lost here"
    if reason in ("read-only", "refused"):
        return f"{again}  # once its owner allows it; nothing is lost here"
    if reason == "damaged":
        return f"git fsck  # in the repository behind {remote}"
    return f"git push --dry-run {remote} HEAD" if writing else f"git ls-remote {remote}  # git has to get in first"
