"""The command line."""

from musengine.cli.main import main as main
