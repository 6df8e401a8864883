"""Owns what goes over the network: the user's own git, asked to fetch and push, and what its words mean.

Everything of the user's set-up holds: credential helpers, ssh configuration, proxies, `insteadOf`, `pushurl`. Knows ref
names and object ids; nothing of runs, merges or what may be let in.
"""

from __future__ import annotations

from .failure import TransportFailed, explain
from .fetch import Arrival, drop_arrivals, fetch_branches, fetch_objects, list_remote_ids
from .progress import Report, Step, find_step, ignore
from .push import Answer, Outcome, PushedRef, push_branches
from .remote import Remote, choose_remote, find_remote, list_remotes
from .wire import Wire

__all__ = [
    "Answer",
    "Arrival",
    "Outcome",
    "PushedRef",
    "Remote",
    "Report",
    "Step",
    "TransportFailed",
    "Wire",
    "choose_remote",
    "drop_arrivals",
    "explain",
    "fetch_branches",
    "fetch_objects",
    "find_remote",
    "find_step",
    "ignore",
    "list_remote_ids",
    "list_remotes",
    "push_branches",
]
