"""Deletes for good what was marked removed long ago, and takes out of runs what should never have been in them.

Both write the experiment's branch again, as a new epoch without the old revisions; both condemn the content that only
those named, which is deleted later. Knows nothing of terminals and of remotes: what others have stays with them until
they have followed. And frees the content of runs that stay, where a remote has it.
"""

from __future__ import annotations

from .doomed import Doomed
from .local_content import Local, delete_local_content, survey_local_content
from .redacting import Redacted, redact_run, survey_redaction
from .removed import DAY, GRACE, PERIOD, Deleted, Survey, delete_runs, survey_deletion

__all__ = [
    "DAY",
    "GRACE",
    "PERIOD",
    "Deleted",
    "Doomed",
    "Local",
    "Redacted",
    "Survey",
    "delete_local_content",
    "delete_runs",
    "redact_run",
    "survey_deletion",
    "survey_local_content",
    "survey_redaction",
]
