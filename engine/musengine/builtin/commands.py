"""The core's own commands, apart: a command line that names one needs no other declaration."""

from __future__ import annotations

from musengine.plugins.declarations import CommandDeclaration


def _command(module: str, name: str, summary: str) -> CommandDeclaration:
    return CommandDeclaration(
        name=name,
        summary=summary,
        target=f"musengine.cli.commands.{module}:{name}",
        # Import strings: `--help` lists every command without importing what any of them does.
        arguments=f"musengine.cli.commands.{module}:add_{name}_arguments",
    )


COMMANDS = (
    _command("run", "run", "train, generate and measure: everything"),
    _command("run", "train", "train only; run again to go on"),
    _command("run", "generate", "make more pieces from a trained run"),
    _command("run", "evaluate", "measure a trained run on held-out music"),
    _command("check", "init", "write a commented pipeline file to start from"),
    _command("check", "check", "find every mistake in a pipeline file"),
    _command("check", "schema", "print a JSON Schema of pipelines, for editors"),
    _command("plugins", "plugins", "list plugins and what they offer"),
    CommandDeclaration(
        name="check-plugin",
        summary="test whether a plugin keeps what the engine relies on",
        target="musengine.testing.check_plugin:check_plugin",
        arguments="musengine.testing.check_plugin:add_check_plugin_arguments",
    ),
)
"""As `musengine --help` lists them."""
