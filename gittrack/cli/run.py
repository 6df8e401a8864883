"""`gittrack run`: records a command in any language as a run, and ends as the command ends."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from ..errors import InvalidInput
from ..model import Scalar
from ..params import flatten_params
from .command import Command, complete_experiment, pass_session
from .execution import Execution, Request
from .process import end_like, find_command
from .session import Session
from .terminal import Terminal
from .values import find_command_params, parse_params, split_assignments

_HELP = """Run a command and record it as a run.

The command's output passes through as it comes and is kept as the artifact output.log. Its exit code, and the signals
on the way to it, pass through as well. It sees GITTRACK_RUN_ID: start_run() in a Python program joins the run, and
`gittrack record` adds to it from any other.

Options after the command's name are the command's own.

Values are typed: 3, 0.1, 1e-4, true, null and nan are what they look like, "1.10" in quotes is text.
"""


@click.command(
    "run",
    cls=Command,
    help=_HELP,
    short_help="Run a command and record it as a run.",
    context_settings={"allow_interspersed_args": False},
    examples=(
        "gittrack run -- python train.py --lr 0.1",
        "gittrack run -e churn -p lr=0.1 --metrics-file metrics.json -- ./train.sh",
        "gittrack run --params-from-args -- Rscript fit.R --trees 500",
    ),
)
@click.option(
    "-e",
    "--experiment",
    metavar="EXPERIMENT",
    shell_complete=complete_experiment,
    help="The experiment that the run belongs to; created where it is new.",
)
@click.option("-n", "--name", metavar="NAME", help="The run's name, instead of a made-up one.")
@click.option("-p", "--param", "params", metavar="NAME=VALUE", multiple=True, help="A param; may be repeated.")
@click.option("-t", "--tag", "tags", metavar="NAME=VALUE", multiple=True, help="A tag; may be repeated.")
@click.option("--note", metavar="TEXT", help="A note.")
@click.option(
    "--params-from-args",
    is_flag=True,
    help="Make params of the command's own --name value, --name=value, --name and name=value.",
)
@click.option(
    "--params-file",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Params in JSON, YAML or TOML, read when the command has ended.",
)
@click.option(
    "--metrics-file",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Metrics in JSON, JSON Lines, YAML or TOML that the command writes, read when it has ended.",
)
@click.option("-q", "--quiet", is_flag=True, help="Say nothing but warnings.")
@click.argument("command", metavar="[--] COMMAND...", nargs=-1, required=True, type=click.UNPROCESSED)
@pass_session
def run(
    session: Session,
    experiment: str | None,
    name: str | None,
    params: tuple[str, ...],
    tags: tuple[str, ...],
    note: str | None,
    params_from_args: bool,
    params_file: Path | None,
    metrics_file: Path | None,
    quiet: bool,
    command: tuple[str, ...],
) -> None:
    """Record a command; this process then ends as the command did."""
    program = find_command(command[0])
    given = _find_params(command, session.terminal) if params_from_args else {}
    given.update(parse_params(params))
    request = Request(
        experiment=experiment,
        name=name,
        params=given,
        tags=split_assignments(tags),
        note=note,
        params_file=params_file,
        metrics_file=metrics_file,
    )
    end_like(Execution(session, request, quiet=quiet).execute(program, command))


def _find_params(command: Sequence[str], terminal: Terminal) -> dict[str, Scalar]:
    """Return those params of a command's own words that a run can take; the others must not stop it."""
    found: dict[str, Scalar] = {}
    for name, value in find_command_params(command).items():
        try:
            found.update(flatten_params({name: value}))
        except InvalidInput as error:
            terminal.warn(f"left out of the params: {error.message}")
    return found
