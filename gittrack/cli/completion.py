"""The `completion` command: the script that lets a shell complete commands, options, runs and experiments."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from .command import Command, pass_session
from .session import Session

VARIABLE = "_GITTRACK_COMPLETE"

SHELLS = {
    "bash": 'eval "$(gittrack completion bash)"  # in ~/.bashrc',
    "zsh": 'eval "$(gittrack completion zsh)"  # in ~/.zshrc',
    "fish": "gittrack completion fish > ~/.config/fish/completions/gittrack.fish",
}


@click.command("completion", cls=Command, examples=(SHELLS["bash"], SHELLS["zsh"], SHELLS["fish"]))
@click.argument("shell", type=click.Choice(list(SHELLS)))
@click.pass_context
@pass_session
def completion(session: Session, context: click.Context, shell: str) -> None:
    """Print the completion script of a shell.

    Completes commands, options, the names and ids of runs, and experiments.
    """
    kind = get_completion_class(shell)
    assert kind is not None
    completer = kind(context.find_root().command, {}, "gittrack", VARIABLE)
    script = completer.source_template % completer.source_vars()
    session.terminal.write([script.strip("\n")])
