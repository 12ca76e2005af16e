"""What this distribution offers."""

from __future__ import annotations

from musengine.api import CommandDeclaration, hookimpl


@hookimpl
def musengine_commands() -> list[CommandDeclaration]:
    """Declare the commands about files of music."""
    return [
        CommandDeclaration(
            name="inspect",
            summary="tell what is in music files, and what is odd",
            target="musengine_tools.inspect_command:inspect",
            arguments="musengine_tools.inspect_command:add_inspect_arguments",
        ),
        CommandDeclaration(
            name="convert",
            summary="turn music into another format, a file or a folder",
            target="musengine_tools.convert_command:convert",
            arguments="musengine_tools.convert_command:add_convert_arguments",
        ),
    ]
