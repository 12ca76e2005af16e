"""What this distribution offers."""

from __future__ import annotations

from musengine.api import CommandDeclaration, ReaderDeclaration, hookimpl
from musengine_tools.config import FlattenedConfig

musengine_api = ">=1,<2"


@hookimpl
def musengine_readers() -> list[ReaderDeclaration]:
    """Declare the reader that flattens; without endings, so that it reads where it is named."""
    return [
        ReaderDeclaration(
            name="flattened",
            summary="Any score as one piano at 120 BPM that sounds the same",
            target="musengine_tools.flattened_reader:FlattenedReader",
            config=FlattenedConfig,
        )
    ]


@hookimpl
def musengine_commands() -> list[CommandDeclaration]:
    """Declare the commands about files of music."""
    return [
        CommandDeclaration(
            name="inspect",
            summary="say what is in music files, and what is odd",
            target="musengine_tools.inspect_command:inspect",
            arguments="musengine_tools.inspect_command:add_inspect_arguments",
        ),
        CommandDeclaration(
            name="convert",
            summary="turn music into another format, a file or a folder",
            target="musengine_tools.convert_command:convert",
            arguments="musengine_tools.convert_command:add_convert_arguments",
        ),
        CommandDeclaration(
            name="export",
            summary="write a run as a trained model that others install",
            target="musengine_tools.export_command:export",
            arguments="musengine_tools.export_command:add_export_arguments",
        ),
        CommandDeclaration(
            name="new-plugin",
            summary="write a plugin to start from, tested",
            target="musengine_tools.new_plugin:new_plugin",
            arguments="musengine_tools.new_plugin:add_new_plugin_arguments",
        ),
    ]
