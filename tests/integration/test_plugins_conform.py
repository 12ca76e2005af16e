"""Every plugin that is installed keeps what the engine relies on."""

from __future__ import annotations

import pytest

from musengine.plugins import manager
from musengine.testing.conformance import check_plugin

PLUGINS = sorted(
    plugin.name
    for plugin in manager.load().plugins
    if plugin.status == "ok" and plugin.name != "core"
)


@pytest.mark.slow
@pytest.mark.parametrize("name", PLUGINS)
def test_a_plugin_keeps_the_contract(name: str) -> None:
    found = check_plugin(name)
    wrong = {
        what: list(map(str, findings))
        for what, findings in found.items()
        # A library that is not installed here leaves a component unlooked at.
        if any(finding.check != "requirements" for finding in findings)
    }
    assert wrong == {}
