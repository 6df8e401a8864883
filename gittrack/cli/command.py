"""What all commands share: the global options before and behind the command's name, examples, typo suggestions,
and the arguments that name runs and experiments.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import click

from ..errors import InvalidInput
from .failure import find_close
from .session import Session

F = TypeVar("F", bound=Callable[..., Any])

pass_session = click.make_pass_decorator(Session)


def _change_directory(context: click.Context, param: click.Parameter, directories: tuple[str, ...]) -> None:
    for directory in directories:
        try:
            os.chdir(directory)
        except OSError as error:
            raise InvalidInput(f"cannot change to {directory!r}: {error.strerror}") from error


def _choose_store(context: click.Context, param: click.Parameter, store: str | None) -> None:
    if store is not None:
        context.ensure_object(Session).store = store


def _choose_debug(context: click.Context, param: click.Parameter, debug: bool) -> None:
    if debug:
        context.ensure_object(Session).debug = True


def make_global_options(*, hidden: bool) -> list[click.Option]:
    """Return the options that stand before the command's name and behind it, in the order they take effect."""
    return [
        click.Option(
            ["-C", "directories"],
            metavar="DIR",
            multiple=True,
            is_eager=True,
            expose_value=False,
            hidden=hidden,
            callback=_change_directory,
            type=click.Path(file_okay=False),
            help="Work as if started in DIR; may be given several times.",
        ),
        click.Option(
            ["--store"],
            metavar="PATH",
            is_eager=True,
            expose_value=False,
            hidden=hidden,
            callback=_choose_store,
            type=click.Path(),
            help="Use the runs of the repository at PATH.",
        ),
        click.Option(
            ["--debug"],
            is_flag=True,
            is_eager=True,
            expose_value=False,
            hidden=hidden,
            callback=_choose_debug,
            help="Show the traceback of an error.",
        ),
    ]


class Command(click.Command):
    """A command with the global options and with examples below its help.

    `examples` are whole command lines.
    """

    def __init__(self, *args: Any, examples: tuple[str, ...] = (), **attributes: Any) -> None:
        super().__init__(*args, **attributes)
        self.examples = examples
        self.params.extend(make_global_options(hidden=True))

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the examples, one a line."""
        write_examples(formatter, self.examples)
        super().format_epilog(ctx, formatter)


def write_examples(formatter: click.HelpFormatter, examples: Iterable[str]) -> None:
    """Write example command lines as a section of a help page."""
    examples = tuple(examples)
    if examples:
        with formatter.section("Examples" if len(examples) > 1 else "Example"):
            for example in examples:
                formatter.write(f"{'':>{formatter.current_indent}}{example}\n")


class CommandGroup(click.Group):
    """A noun with verbs, such as `experiment`: suggests the verb that was meant."""

    command_class = Command
    # Words people know from other tools, and what they are called here.
    synonyms: dict[str, str] = {  # noqa: RUF012 - click's classes have no ClassVar either
        "list": "ls",
        "new": "create",
        "add": "create",
        "remove": "rm",
        "delete": "rm",
        "mv": "rename",
        "download": "get",
    }

    hides_global_options = True

    def __init__(self, *args: Any, **attributes: Any) -> None:
        super().__init__(*args, **attributes)
        self.params = make_global_options(hidden=self.hides_global_options) + self.params

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the verbs in the order they were declared in."""
        return list(self.commands)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the group's own options; raises InvalidInput where no command follows."""
        if not args and self.no_args_is_help and not ctx.resilient_parsing:
            raise InvalidInput(
                f"{ctx.command_path} needs a command: {', '.join(self.list_commands(ctx))}",
                hint=f"{ctx.command_path} --help",
            )
        return super().parse_args(ctx, args)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the command that the first argument names; raises InvalidInput with the nearest one as its hint."""
        word = args[0]
        if self.get_command(ctx, word) is None and not word.startswith("-"):
            names = self.list_commands(ctx)
            synonym = self.synonyms.get(word)
            close = [synonym] if synonym in names else find_close(word, names)
            raise InvalidInput(
                f"{word!r:.100} is not a {ctx.command_path} command",
                hint=" or ".join(f"{ctx.command_path} {name}" for name in close) or f"{ctx.command_path} --help",
            )
        return super().resolve_command(ctx, args)


def complete_run(context: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Return what a RUN argument may be completed to: names, short ids where one was begun, `latest`."""
    try:
        with context.ensure_object(Session).open_tracker(recover=False) as tracker:
            runs = tracker.list_runs(limit=500)
    except Exception:  # a shell's completion has nowhere to say what went wrong
        return []
    words = ["latest", *(run.name for run in runs)]
    if incomplete:
        words += [run.id[:8] for run in runs]
    return [word for word in dict.fromkeys(words) if word.startswith(incomplete)]


def complete_experiment(context: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Return the slugs that an EXPERIMENT argument may be completed to."""
    try:
        with context.ensure_object(Session).open_tracker(recover=False) as tracker:
            slugs = [experiment.slug for experiment in tracker.list_experiments()]
    except Exception:  # a shell's completion has nowhere to say what went wrong
        return []
    return [slug for slug in slugs if slug.startswith(incomplete)]


def run_argument(name: str = "run", *, many: bool = False, **attributes: Any) -> Callable[[F], F]:
    """Declare an argument that names a run: an id prefix, a name, a commit prefix, `latest`, `latest~2`."""
    nargs = -1 if many else 1
    metavar = "RUN..." if many else name.upper()
    return click.argument(name, nargs=nargs, required=True, metavar=metavar, shell_complete=complete_run, **attributes)


def experiment_option() -> Callable[[F], F]:
    """Declare `-e EXPERIMENT`, which narrows a command down to one experiment."""
    return click.option(
        "-e", "--experiment", metavar="EXPERIMENT", shell_complete=complete_experiment, help="Only this experiment."
    )


def json_option() -> Callable[[F], F]:
    """Declare `--json`."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON (see: gittrack help json).")


def pager_option() -> Callable[[F], F]:
    """Declare `--no-pager`."""
    return click.option("--no-pager", "no_pager", is_flag=True, help="Do not use a pager.")
