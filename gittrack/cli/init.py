"""The `init` command: shows the settings that apply here, and writes some of them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import click

from .. import layout
from ..errors import InvalidInput
from ..git import Git
from ..repository import get_repository
from ..settings import Settings
from .command import Command, json_option, pass_session
from .project import add_settings
from .session import Session
from .table import Cell, Column, lay_out
from .terminal import Screen
from .text import clean

GIT_KEYS = {
    "experiment": "gittrack.experiment",
    "store": "gittrack.store",
    "remote": "gittrack.remote",
    "auto_push": "gittrack.autoPush",
}
SHOWN = ("experiment", "store", "remote", "auto_push", "namespace")


def render_settings(settings: Settings, screen: Screen) -> list[str]:
    """Return the settings that people change, their values, and where each stands."""
    values = {name: getattr(settings, name) for name in SHOWN}
    texts = {name: _say(value) for name, value in values.items()}
    origins = {name: clean(settings.origin.get(name, "default")) for name in SHOWN}
    columns = [
        Column("SETTING", tuple(Cell(name.replace("_", "-"), "key") for name in SHOWN)),
        Column("VALUE", tuple(Cell(texts[name]) for name in SHOWN), least=8),
        Column("FROM", tuple(Cell(origins[name], "dim") for name in SHOWN), rank=1, least=8),
    ]
    return lay_out(columns, screen).lines


def _say(value: object) -> str:
    if value is None:
        return "(none)"
    return str(value).lower() if isinstance(value, bool) else clean(str(value))


@click.command(
    "init",
    cls=Command,
    examples=("gittrack init", "gittrack init -e churn --shared", "gittrack init --store ../runs.git"),
)
@click.option("-e", "--experiment", metavar="NAME", help="The experiment of runs that name none.")
@click.option("--remote", metavar="NAME", help="The remote that runs are shared through.")
@click.option("--auto-push/--no-auto-push", default=None, help="Push a run when it ends.")
@click.option("--shared", is_flag=True, help="Write to [tool.gittrack] in pyproject.toml, which everybody shares.")
@json_option()
@pass_session
def init(
    session: Session, experiment: str | None, remote: str | None, auto_push: bool | None, shared: bool, as_json: bool
) -> None:
    """Write settings for this repository; never needed.

    Writes to this clone's git config, or with --shared to pyproject.toml. With --store PATH, runs are kept in the
    repository there. Without options, prints the settings that apply here.
    """
    wanted = _check_wanted(session.store, experiment, remote)
    if auto_push is not None:
        wanted["auto_push"] = auto_push
    if wanted:
        said = _write_shared(wanted) if shared else _write_local(wanted)
        for line in said:
            session.terminal.note(line)
    elif shared:
        raise InvalidInput("--shared needs something to write", hint="gittrack init -e churn --shared")
    with session.open_tracker(recover=False) as tracker:
        settings = tracker.settings
    if as_json:
        values = {name: getattr(settings, name) for name in SHOWN}
        session.write_json(
            "settings",
            {
                name: {
                    "value": str(value) if isinstance(value, Path) else value,
                    "from": settings.origin.get(name, "default"),
                }
                for name, value in values.items()
            },
        )
    elif not wanted:
        session.terminal.write(render_settings(settings, session.terminal.screen))


def _check_wanted(store: str | None, experiment: str | None, remote: str | None) -> dict[str, str | bool]:
    """Return the settings that the options name; raises InvalidInput or NotFound for one that could not work."""
    wanted: dict[str, str | bool] = {}
    if experiment is not None:
        layout.make_slug(layout.check_key(experiment, kind="experiment"))
        wanted["experiment"] = experiment
    if store is not None:
        wanted["store"] = str(get_repository(Path(store).expanduser()).directory)
    if remote is not None:
        remotes = Git(Path.cwd()).run("remote").decode("utf-8", "surrogateescape").split()
        if remote not in remotes:
            raise InvalidInput(f"there is no remote {remote!r:.100} here", hint=f"git remote add {remote} URL")
        wanted["remote"] = remote
    return wanted


def _write_local(wanted: Mapping[str, str | bool]) -> list[str]:
    repository = get_repository(Path.cwd())
    git = Git(repository.directory)
    said = []
    for name, value in wanted.items():
        key = GIT_KEYS[name]
        text = str(value).lower() if isinstance(value, bool) else value
        git.run("config", "--local", "--replace-all", "--", key, text)
        said.append(f"git config {key} is now {text}")
    return said


def _write_shared(wanted: Mapping[str, str | bool]) -> list[str]:
    repository = get_repository(Path.cwd())
    if repository.worktree is None:
        raise InvalidInput(f"{repository.directory} has no working tree, so no pyproject.toml", hint="gittrack init")
    file = repository.worktree / "pyproject.toml"
    values = {name.replace("_", "-"): value for name, value in wanted.items()}
    if "store" in values:
        values["store"] = os.path.relpath(str(values["store"]), repository.worktree)
    add_settings(file, values)
    return [f"{', '.join(values)} set in [tool.gittrack] of {file}; commit it to share it"]
