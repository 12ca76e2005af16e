"""Subcommands are components: a plugin brings its own, and none takes another's name."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from musengine.testing import SitePackages

PLUGIN = """
import sys
from pathlib import Path
from musengine.api import CommandDeclaration, hookimpl

@hookimpl
def musengine_commands():
    return [
        CommandDeclaration(
            name={name!r}, summary="says hello", target="{module}:run", arguments="{module}:add"
        )
    ]

def add(parser):
    parser.add_argument("--who", default="you")

def run(parsed, context):
    import logging
    logging.getLogger(__name__).info("greeting " + parsed.who)
    print("hello", parsed.who, sorted(context.registry.names("encoder"))[0], "torch" in sys.modules)
    return 3
"""


def plugin(site_packages: SitePackages, distribution: str, name: str) -> None:
    module = distribution.replace("-", "_")
    site_packages.add(
        distribution, {module: module}, **{module: PLUGIN.format(name=name, module=module)}
    )


def call(site_packages: SitePackages, *arguments: str) -> subprocess.CompletedProcess[str]:
    names = ",".join(point.name for point in site_packages.entry_points())
    return subprocess.run(
        [sys.executable, "-m", "musengine", *arguments],
        env=site_packages.environment(MUSENGINE_PLUGINS=names),
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.slow
def test_a_plugins_command_runs_and_is_listed(site_packages: SitePackages) -> None:
    plugin(site_packages, "say-hello", "greet")
    done = call(site_packages, "greet", "--who", "Bach")
    assert (done.returncode, done.stdout) == (3, "hello Bach piano-roll False\n")
    assert done.stderr == "greeting Bach\n"
    assert call(site_packages, "greet", "-q").stderr == ""
    assert "greet" in call(site_packages, "--help").stdout
    listed = json.loads(call(site_packages, "plugins", "--json").stdout)
    (own,) = (each for each in listed if each["name"] == "say_hello")
    assert [(each["kind"], each["name"]) for each in own["components"]] == [("command", "greet")]


def test_a_command_of_two_plugins_belongs_to_neither(site_packages: SitePackages) -> None:
    plugin(site_packages, "say-hello", "greet")
    plugin(site_packages, "say-welcome", "greet")
    done = call(site_packages, "greet")
    assert done.returncode == 2
    assert "say-hello 1.0" in done.stderr
    assert "say-welcome 1.0" in done.stderr
    assert "greet" not in call(site_packages, "--help").stdout


def test_the_cores_own_cannot_be_replaced(site_packages: SitePackages) -> None:
    plugin(site_packages, "say-hello", "check")
    done = call(site_packages, "check", "nowhere.toml")
    assert done.returncode == 1
    assert "nowhere.toml" in done.stderr
    assert "hello" not in done.stdout


def test_an_unknown_command_names_the_nearest_and_what_is_not_loaded(
    site_packages: SitePackages,
) -> None:
    plugin(site_packages, "say-hello", "greet")
    site_packages.add("sad-plugin", {"sad": "sad"}, sad="raise ValueError('no luck')")
    done = call(site_packages, "gret")
    assert done.returncode == 2
    assert "'greet'" in done.stderr
    assert "sad-plugin" in done.stderr
    assert "no luck" in done.stderr


def test_who_names_no_command_is_told_which_there_are(site_packages: SitePackages) -> None:
    plugin(site_packages, "say-hello", "greet")
    bare, asked = call(site_packages), call(site_packages, "--help")
    assert (bare.returncode, bare.stdout) == (0, asked.stdout)
    assert "says hello" in bare.stdout


def test_a_core_command_looks_for_no_plugins_of_its_own_accord(site_packages: SitePackages) -> None:
    # `schema --help` needs no component, so that a plugin that breaks is not even imported.
    site_packages.add("sad-plugin", {"sad": "sad"}, sad="print('imported')")
    done = call(site_packages, "schema", "--help")
    assert done.returncode == 0
    assert "imported" not in done.stdout + done.stderr


@pytest.mark.parametrize("where", ["arguments", "target"])
def test_a_command_that_cannot_be_imported_is_one_line(
    site_packages: SitePackages, where: str
) -> None:
    parts = {"target": "broken:run", "arguments": "broken:add", where: "nowhere.at_all:run"}
    site_packages.add(
        "broken-plugin",
        {"broken": "broken"},
        broken=f"""
        from musengine.api import CommandDeclaration, hookimpl

        @hookimpl
        def musengine_commands():
            return [CommandDeclaration(name="snap", summary="", **{parts})]

        def add(parser):
            pass
        """,
    )
    done = call(site_packages, "snap")
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "broken-plugin 1.0" in done.stderr


def test_check_finds_a_component_whose_class_is_not_there(
    site_packages: SitePackages, tmp_path: Path
) -> None:
    source = """
    from musengine.api import MetricDeclaration, hookimpl

    @hookimpl
    def musengine_metrics():
        return [MetricDeclaration(name="gone", summary="", target="gone_module:Gone")]
    """
    site_packages.add("gone", {"gone": "gone_module"}, gone_module=source)
    (tmp_path / "music").mkdir()
    (tmp_path / "music/a.mid").touch()
    file = tmp_path / "pipe.toml"
    file.write_text(
        '[corpus]\npath = "music"\n[model]\ntype = "frequencies"\n[[metric]]\ntype = "gone"\n'
    )
    done = call(site_packages, "check", str(file), "--json")
    problems = json.loads(done.stdout)["problems"]
    assert (done.returncode, [each["code"] for each in problems]) == (1, ["component-broken"])
