"""The commands: from the help that the command line gives of each."""

from functools import partial
from typing import Any

from sweep_engine.explain.entry import Entry, Listed, Topic


def commands(group: Any) -> dict[str, Topic]:
    """Give the topic of every command.

    Args:
        group: Click's group of them.
    """
    context = group.make_context(None, [], resilient_parsing=True)
    return {
        name: _topic(name, command, type(context)(command, parent=None, info_name=name))
        for name, command in group.commands.items()
    }


def _topic(name: str, command: Any, context: Any) -> Topic:
    return Topic(
        f"command.{name}",
        command.help.partition("\n")[0],
        partial(_entry, name, command, context),
    )


def _entry(name: str, command: Any, context: Any) -> Entry:
    records = [param.get_help_record(context) for param in command.params]
    usage = " ".join(["sweep-engine", name, *command.collect_usage_pieces(context)])
    return Entry(
        path=f"command.{name}",
        title="command",
        meaning=command.help,
        type=usage,
        fields=tuple(Listed(option, meaning) for option, meaning in filter(None, records)),
    )
