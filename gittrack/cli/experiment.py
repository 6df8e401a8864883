"""The `experiment` commands: the named groups of runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import IO

import click

from ..canonical import format_time
from ..model import Experiment
from .amounts import count, describe_moment, format_age, format_utc
from .command import CommandGroup, complete_experiment, json_option, pass_session
from .ls import lay_out_runs
from .note import choose_text
from .session import Session
from .show import render_facts
from .table import Cell, Column, lay_out
from .terminal import Screen
from .text import clean
from .values import split_assignments

_RECENT = 5


def render_experiments(
    experiments: Sequence[Experiment], counts: Mapping[str, int], screen: Screen, *, now: int
) -> list[str]:
    """Return experiments as a table, with how many runs each has."""
    say = (lambda moment: format_age(moment, now=now)) if screen.interactive else format_utc
    columns = [
        Column("EXPERIMENT", tuple(Cell(clean(entry.slug), "key") for entry in experiments), least=12),
        Column("RUNS", tuple(Cell(str(counts[entry.slug])) for entry in experiments), rank=1, align="right"),
        Column("CREATED", tuple(Cell(say(entry.created), "dim") for entry in experiments), rank=3),
    ]
    if any(entry.name != entry.slug for entry in experiments):
        columns.insert(1, Column("NAME", tuple(Cell(clean(entry.name)) for entry in experiments), rank=4, least=8))
    if any(entry.removed is not None for entry in experiments):
        removed = tuple(Cell("removed" if entry.removed is not None else "", "dim") for entry in experiments)
        columns.append(Column("STATUS", removed, rank=2))
    if any(entry.description for entry in experiments):
        described = tuple(Cell(clean(entry.description)) for entry in experiments)
        columns.append(Column("DESCRIPTION", described, rank=5, least=16))
    return lay_out(columns, screen).lines


def experiment_record(experiment: Experiment, runs: int) -> dict[str, object]:
    """Return an experiment as JSON-ready values."""
    return {
        "slug": experiment.slug,
        "name": experiment.name,
        "description": experiment.description,
        "tags": dict(sorted(experiment.tags.items())),
        "created": format_time(experiment.created),
        "removed": None if experiment.removed is None else format_time(experiment.removed),
        "revision": experiment.revision,
        "runs": runs,
    }


@click.group("experiment", cls=CommandGroup, invoke_without_command=True)
@click.pass_context
def experiment(context: click.Context) -> None:
    """List, describe or change experiments.

    An experiment is a named group of runs: the branch gittrack/NAME. Recording a run creates it where it is missing.
    Without a command, lists them.
    """
    if context.invoked_subcommand is None:
        context.invoke(ls)


name_argument = click.argument("name", metavar="EXPERIMENT", shell_complete=complete_experiment)


@experiment.command("ls", examples=("gittrack experiment ls",))
@click.option("--removed", is_flag=True, help="List removed experiments too.")
@json_option()
@pass_session
def ls(session: Session, removed: bool, as_json: bool) -> None:
    """List the experiments."""
    with session.open_tracker() as tracker:
        found = tracker.list_experiments(removed=removed)
        counts = {entry.slug: tracker.count_runs(entry.slug) for entry in found}
    if as_json:
        session.write_json("experiments", [experiment_record(entry, counts[entry.slug]) for entry in found])
    elif found:
        session.terminal.write(render_experiments(found, counts, session.terminal.screen, now=session.now))
    else:
        session.terminal.note("no experiments here yet", hint="gittrack run -e churn -- python train.py")


@experiment.command("show", examples=("gittrack experiment show churn",))
@name_argument
@json_option()
@pass_session
def show(session: Session, name: str, as_json: bool) -> None:
    """Show an experiment and its latest runs."""
    with session.open_tracker() as tracker:
        found = tracker.get_experiment(name)
        runs = tracker.count_runs(found.slug)
        if as_json:
            session.write_json("experiment", experiment_record(found, runs))
            return
        recent = tracker.list_runs(found.slug, limit=_RECENT)
    screen = session.terminal.screen
    facts = [
        ("experiment", clean(found.slug)),
        ("name", clean(found.name)),
        ("created", describe_moment(found.created, now=session.now, interactive=screen.interactive)),
        ("runs", str(runs)),
    ]
    if found.removed is not None:
        facts.append(("removed", describe_moment(found.removed, now=session.now, interactive=screen.interactive)))
    if found.tags:
        facts.append(("tags", ", ".join(clean(f"{key}={value}") for key, value in sorted(found.tags.items()))))
    if found.description:
        facts.append(("description", clean(found.description)))
    session.terminal.write(render_facts(facts, screen))
    if recent:
        session.terminal.write(["", *lay_out_runs(recent, screen, now=session.now).lines])


@experiment.command("create", examples=('gittrack experiment create churn --description "Who leaves us, and why"',))
@click.argument("name", metavar="EXPERIMENT")
@click.option("--description", default="", metavar="TEXT", help="What it is about.")
@click.option("-t", "--tag", "tags", metavar="NAME=VALUE", multiple=True, help="A tag; may be repeated.")
@pass_session
def create(session: Session, name: str, description: str, tags: tuple[str, ...]) -> None:
    """Create an experiment; recording a run does it, too."""
    with session.open_tracker() as tracker:
        made = tracker.create_experiment(name, description=description, tags=split_assignments(tags))
    session.terminal.note(f"created experiment {made.name}: branch gittrack/{made.slug}")


@experiment.command("rename", examples=('gittrack experiment rename churn "Churn 2026"',))
@name_argument
@click.argument("new_name", metavar="NAME")
@pass_session
def rename(session: Session, name: str, new_name: str) -> None:
    """Give an experiment another display name; its branch stays."""
    with session.open_tracker() as tracker:
        old = tracker.get_experiment(name)
        renamed = tracker.edit_experiment(old.slug, new_name=new_name)
    session.terminal.note(f"experiment {old.slug} is now called {renamed.name}, no longer {old.name}")


@experiment.command("describe", examples=('gittrack experiment describe churn "Who leaves us, and why"',))
@name_argument
@click.argument("text", required=False)
@click.option("-e", "--edit", is_flag=True, help="Write the description in your editor, the one git uses.")
@click.option(
    "-F", "--file", metavar="FILE", type=click.File(encoding="utf-8"), help="Read it from a file; - for standard input."
)
@click.option("-t", "--tag", "tags", metavar="NAME=VALUE", multiple=True, help="Set a tag; may be repeated.")
@click.option("-d", "--delete", "deleted", metavar="NAME", multiple=True, help="Take a tag off.")
@pass_session
def describe(
    session: Session,
    name: str,
    text: str | None,
    edit: bool,
    file: IO[str] | None,
    tags: tuple[str, ...],
    deleted: tuple[str, ...],
) -> None:
    """Say what an experiment is about.

    Without a text, prints the description it has.
    """
    changes: dict[str, str | None] = {**split_assignments(tags), **dict.fromkeys(deleted)}
    with session.open_tracker() as tracker:
        found = tracker.get_experiment(name)
        written = choose_text(text, file, edit=edit, present=found.description)
        if written is not None or changes:
            tracker.edit_experiment(found.slug, description=written, tags=changes)
            session.terminal.note(f"described experiment {found.slug}")
        elif edit:
            session.terminal.note("the description is as it was")
        else:
            session.terminal.write([clean(found.description)] if found.description else [])


@experiment.command("rm", examples=("gittrack experiment rm churn",))
@name_argument
@pass_session
def rm(session: Session, name: str) -> None:
    """Mark an experiment removed; nothing is deleted."""
    with session.open_tracker() as tracker:
        found = tracker.get_experiment(name)
        runs = tracker.count_runs(found.slug)
        tracker.edit_experiment(found.slug, removed=True)
    session.terminal.note(f"removed experiment {found.name} with its {count(runs, 'run')}")
    session.terminal.hint(f"to undo: gittrack experiment restore {found.slug}")


@experiment.command("restore", examples=("gittrack experiment restore churn",))
@name_argument
@pass_session
def restore(session: Session, name: str) -> None:
    """Bring a removed experiment back."""
    with session.open_tracker() as tracker:
        found = tracker.get_experiment(name)
        tracker.edit_experiment(found.slug, removed=False)
    session.terminal.note(f"restored experiment {found.name}")
