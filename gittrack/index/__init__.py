"""The index: what all experiments hold, as columns on disk, brought up to date by reading only what is new.

Its files are a cache. Git history is immutable, so what a segment says of a commit never goes stale; everything can be
deleted at any time, and is rebuilt from git. Importing this loads neither pyarrow nor a Git library.
"""

from __future__ import annotations

from .catalogue import Index, IndexedExperiment

__all__ = ["Index", "IndexedExperiment"]
