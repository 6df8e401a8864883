"""The `fetch` and `pull` commands: bring the runs of others here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from ..errors import NotFound
from .amounts import count
from .command import Command, json_option, pass_session
from .content_shared import Eager, content_options
from .failure import find_close
from .session import Session
from .text import clean
from .transfer import NAMES, open_link, tell_merged

if TYPE_CHECKING:
    from ..sync.fetching import Fetched
    from ..sync.link import Link
    from .terminal import Terminal


def describe_fetched(branch: Fetched, remote: str) -> str:
    """Return what a fetch found of one experiment, in a line."""
    runs = count(branch.runs, "run")
    if branch.change == "new":
        return f"{branch.slug}: new here, with {runs}"
    if branch.change == "rewritten":
        return (
            f"{branch.slug}: its branch was rewritten on {remote}; what is no longer there is kept here, "
            "and the next push brings it back"
        )
    if branch.change == "epoch":
        what = count(branch.deleted, "run") if branch.deleted else "something"
        return f"{branch.slug}: {what} {'was' if branch.deleted < 2 else 'were'} deleted for good on {remote}"
    if branch.change == "deleted":
        return f"{branch.slug}: its branch was deleted on {remote}; its runs are kept here"
    return f"{branch.slug}: {runs} new or changed"


def tell_fetched(
    terminal: Terminal, branches: Sequence[Fetched], *, remote: str, merged: Mapping[str, Sequence[str]] | None = None
) -> None:
    """Say what came from a remote, and what of it is kept out.

    `merged` are the experiments that were joined with what is here, each with the runs that both sides had edited.
    """
    joined = merged or {}
    for branch in branches:
        if branch.change in ("rewritten", "deleted"):
            hint = f"gittrack push {remote} {branch.slug}" if branch.change == "deleted" else None
            terminal.warn(describe_fetched(branch, remote), hint=hint)
        elif branch.change != "same":
            terminal.note(describe_fetched(branch, remote))
        elif branch.slug in joined:
            terminal.note(f"{branch.slug}: joined what was fetched before with yours")
        for refused in branch.refused:
            name = f" {refused.name}" if refused.name else ""
            terminal.warn(f"{branch.slug}: record{name} (commit {refused.commit[:12]}) is kept out: {refused.reason}")
        tell_merged(terminal, branch.slug, joined.get(branch.slug, ()))
    if not joined and all(branch.change == "same" for branch in branches):
        terminal.note(f"nothing new on {remote}")


def _check_found(link: Link, experiments: Sequence[str], branches: Sequence[Fetched]) -> None:
    """Raise NotFound for an experiment that was named and is neither here nor there."""
    here, found = link.list_local(), {branch.slug for branch in branches}
    for slug in experiments:
        if slug not in here and slug not in found:
            close = find_close(slug, sorted({*here, *link.list_tracked()}))
            raise NotFound(
                f"there is no experiment {slug!r} here or on {link.remote.name}",
                hint=f"gittrack {link.purpose} {link.remote.name} {close[0]}" if close else "gittrack status",
            )


def fetched_record(branch: Fetched) -> dict[str, object]:
    """Return what was found of one experiment as JSON-ready values."""
    refused = [{"commit": entry.commit, "name": entry.name, "reason": entry.reason} for entry in branch.refused]
    return {
        "experiment": branch.slug,
        "change": branch.change,
        "tip": branch.tip,
        "runs": branch.runs,
        "refused": refused,
    }


@click.command(
    "fetch",
    cls=Command,
    examples=("gittrack fetch", "gittrack fetch origin churn", "gittrack fetch --content --max-size 20m"),
)
@NAMES
@content_options
@json_option()
@pass_session
def fetch(session: Session, /, names: tuple[str, ...], as_json: bool, **options: Any) -> None:
    """Get the runs that others have pushed.

    They are shown beside your own at once; gittrack pull joins them into your own branches, too. Nothing of yours is
    changed. Without REMOTE, the one that gittrack remote names. The content of artifacts comes when it is asked for, or
    with --content.
    """
    from ..sync.pushing import look

    with open_link(session, names, purpose="fetch") as (tracker, link, experiments):
        eager = Eager(session, tracker, link, options)
        report = look(link, experiments or None)
        _check_found(link, experiments, report.branches)
        if not as_json:
            tell_fetched(session.terminal, report.branches, remote=link.remote.name)
        eager.fetch([branch.slug for branch in report.branches], named=experiments)
    if as_json:
        records = [fetched_record(branch) for branch in report.branches]
        session.write_json("fetched", records, remote=link.remote.name, **eager.record())
        eager.check()
        return
    eager.tell()
    for name in report.ignored:
        session.terminal.warn(
            f"branch {clean(name)!r} of {link.remote.name} is passed over: no experiment has such a name"
        )
    eager.check()


@click.command(
    "pull",
    cls=Command,
    examples=("gittrack pull", "gittrack pull origin churn", "gittrack pull --content --include '*.png'"),
)
@NAMES
@content_options
@json_option()
@pass_session
def pull(session: Session, /, names: tuple[str, ...], as_json: bool, **options: Any) -> None:
    """Get the runs that others have pushed, and join them with yours.

    Runs never conflict. One that was edited here and there keeps what both said. The content of artifacts comes when it
    is asked for, or with --content.
    """
    from ..sync.pushing import pull as pull_experiments

    with open_link(session, names, purpose="pull") as (tracker, link, experiments):
        eager = Eager(session, tracker, link, options)
        branches, merged = pull_experiments(link, experiments or None)
        _check_found(link, experiments, branches)
        if not as_json:
            tell_fetched(session.terminal, branches, remote=link.remote.name, merged=merged)
        eager.fetch([branch.slug for branch in branches], named=experiments)
    if as_json:
        records = [{**fetched_record(branch), "merged": list(merged.get(branch.slug, ()))} for branch in branches]
        session.write_json("pulled", records, remote=link.remote.name, **eager.record())
    else:
        eager.tell()
    eager.check()
