"""Takes something out of a run that should never have been recorded, and leaves the rest as it is.

`places` names what can be taken out and does so to a snapshot, `text` looks for a text in one; both are pure. `rewrite`
does the same to a run's tree: to its metric parts, its artifacts and its source. Knows nothing of branches.
"""

from __future__ import annotations

from .places import REDACTED, check_places, redact_places
from .rewrite import Change, Redaction, plan_redaction, redact_tree, stage_redaction
from .text import spell_text

__all__ = [
    "REDACTED",
    "Change",
    "Redaction",
    "check_places",
    "plan_redaction",
    "redact_places",
    "redact_tree",
    "spell_text",
    "stage_redaction",
]
