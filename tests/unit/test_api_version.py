"""Which versions of the plugin API a plugin is made for: read before it is imported."""

from __future__ import annotations

import pytest

from helpers import declaring
from musengine.plugins import manager
from musengine.plugins.api_version import API_VERSION, unsuitable
from musengine.testing import SitePackages


@pytest.mark.parametrize(
    "wanted", [">=1", ">=1,<2", "==1.2", ">= 1.0 , <= 1.2", ">0.9", ">1.1", "<2.0", "<1.10"]
)
def test_ranges_that_a_version_is_in(wanted: str) -> None:
    assert unsuitable(wanted, "musengine-x", "1.2") == ""


@pytest.mark.parametrize(
    ("wanted", "upgraded"),
    [
        (">=2", "musengine"),
        (">=1.3,<2", "musengine"),
        (">1.2", "musengine"),
        ("==1.10", "musengine"),
        ("<1", "musengine-x"),
        (">=0.3,<1.2", "musengine-x"),
        ("==1.1", "musengine-x"),
    ],
)
def test_outside_of_a_range_it_says_what_to_upgrade(wanted: str, upgraded: str) -> None:
    assert unsuitable(wanted, "musengine-x", "1.2") == (
        f"it is made for version {wanted} of musengine's plugin API, and this is 1.2; "
        f"pip install --upgrade {upgraded}"
    )


@pytest.mark.parametrize("wanted", ["", "1", ">=", ">=1.0.0", "~=1", ">=1 <2", "*"])
def test_what_is_no_range(wanted: str) -> None:
    assert (
        unsuitable(wanted, "x") == f'musengine_api must be a text such as ">=1,<2", got {wanted!r}'
    )


def plugin(site_packages: SitePackages, head: str) -> manager.Plugin:
    """The plugin of a module that begins so and then declares a model."""
    site_packages.add("one-plugin", {"one": "one_module"}, one_module=head + declaring("one-model"))
    (loaded,) = [each for each in site_packages.load().plugins if each.name == "one"]
    return loaded


@pytest.mark.parametrize(
    "line", ['musengine_api = ">=1,<2"', "musengine_api: str = '>=1,<2'  # tested with 1.0"]
)
def test_a_plugin_for_this_version_is_loaded(site_packages: SitePackages, line: str) -> None:
    assert API_VERSION.startswith("1.")
    loaded = plugin(site_packages, f"{line}\n")
    assert (loaded.status, loaded.api) == ("ok", ">=1,<2")


def test_one_that_says_nothing_is_loaded(site_packages: SitePackages) -> None:
    assert plugin(site_packages, "").status == "ok"


def test_one_for_another_version_is_refused_before_it_fails(site_packages: SitePackages) -> None:
    # What is new there cannot be imported, which would be a riddle to the user.
    head = 'musengine_api = ">=2,<3"\nfrom musengine.api import Orchestra\n'
    loaded = plugin(site_packages, head)
    assert loaded.status == "failed"
    assert loaded.reasons == [
        "it is made for version >=2,<3 of musengine's plugin API, and this is "
        f"{API_VERSION}; pip install --upgrade musengine"
    ]
    assert loaded.declarations == []


@pytest.mark.parametrize("value", ["2", "SOME_RANGE", "('>=1', '<2')", '""'])
def test_a_range_that_cannot_be_read_is_the_authors_mistake(
    site_packages: SitePackages, value: str
) -> None:
    loaded = plugin(site_packages, f"musengine_api = {value}\n")
    assert loaded.status == "failed"
    assert loaded.reasons[0].startswith('musengine_api must be a text such as ">=1,<2"')


def test_the_rest_goes_on(site_packages: SitePackages) -> None:
    site_packages.add("good-plugin", {"good": "good_module"}, good_module=declaring("good-model"))
    plugin(site_packages, 'musengine_api = "<1"\n')
    registry = site_packages.load().registry
    assert registry.get("model", "good-model").origin.distribution == "good-plugin"
    (absent,) = registry.absent
    assert absent.startswith("one (one-plugin 1.0) failed: it is made for version <1 ")
