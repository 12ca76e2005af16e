"""The tolerant loader: what is wrong with one plugin is told, and costs the others nothing."""

from __future__ import annotations

import ast
import importlib.metadata
import inspect
import json
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

import pytest

from helpers import declaring, refused
from musengine import __version__
from musengine.cli.listing import as_json, as_lines
from musengine.errors import UserError
from musengine.pipeline.declared import declared_problems
from musengine.plugins import hookspecs, manager, sources
from musengine.plugins.configs import Content
from musengine.plugins.declarations import DECLARATIONS, Requirement
from musengine.plugins.sources import code_version
from musengine.testing import SitePackages

HEAD = """
from musengine.plugins.configs import *
from musengine.plugins.declarations import *
from musengine.plugins.hookspecs import hookimpl
"""
HOOK = HEAD + "@hookimpl\ndef musengine_models():\n    return {}\n"
MODEL = HOOK.format(
    "[ModelDeclaration(**(dict(name='x', summary='', target='a:B', layouts=('grid',),"
    " config=ModelConfig) | dict({})))]"
)
READER = HEAD + (
    "@hookimpl\ndef musengine_readers():\n"
    "    return [ReaderDeclaration(name='x', summary='', target='a:B', {})]\n"
)
METRIC = (
    HEAD
    + """
from dataclasses import dataclass
from musengine.config.fields import Config, setting

@dataclass(frozen=True, kw_only=True)
class Needy(Config):
    key: int = setting(doc="")

@hookimpl
def musengine_metrics():
    return [MetricDeclaration(name="x", summary="", target="a:B", {})]
"""
)


def by_name(loaded: manager.Plugins, name: str) -> manager.Plugin:
    (plugin,) = [plugin for plugin in loaded.plugins if plugin.name == name]
    return plugin


def add_good(site_packages: SitePackages) -> None:
    site_packages.add("good-plugin", {"good": "good_module"}, good_module=declaring("good-model"))


def assert_rest_goes_on(loaded: manager.Plugins) -> None:
    """The core and the plugin of `add_good` are there, whatever else is broken."""
    assert by_name(loaded, "core").status == "ok"
    assert loaded.registry.get("model", "frequencies").origin.distribution == "musengine"
    assert by_name(loaded, "good").status == "ok"
    assert str(loaded.registry.get("model", "good-model").origin) == "good-plugin 1.0"


class TestWithoutPlugins:
    def test_the_core_declares_something_through_every_hook_but_trained_models(self) -> None:
        core = manager.load_from([])
        declared = {declaration.kind for declaration in core.plugins[0].declarations}
        assert declared == {expected.kind for expected in DECLARATIONS.values()} - {"trained"}
        assert str(core.plugins[0].origin) == f"musengine {__version__}"
        assert core.broken == []

    def test_there_are_thirteen_hooks_each_with_a_declaration_of_its_own(self) -> None:
        specified = {
            name
            for name, _ in inspect.getmembers(hookspecs, inspect.isfunction)
            if name.startswith("musengine_")
        }
        assert specified == set(DECLARATIONS)
        assert len(specified) == 13

    # What a pipeline leaves open is chosen by declarations; a name in the code would be a
    # component that no plugin can take the place of.
    def test_the_engine_names_no_component_of_its_own(self) -> None:
        names = {
            declaration.name
            for declaration in manager.load_from([]).plugins[0].declarations
            if declaration.kind != "command"
        }
        # A writer is called as what it writes, a batching strategy as what a metric is of.
        words = {*get_args(Content), "pieces"}
        # A figure, a folder and a distribution have the names of components too.
        other = {
            ("training/task.py", "nll"),
            ("runs/held_folder.py", "samples"),
            ("runs/presentation/learning_curve.py", "nll"),
            ("runs/versions.py", "music21"),
        }
        engine = Path(manager.__file__).parents[1]
        found = [
            (path.relative_to(engine).as_posix(), node.value)
            for package in ("pipeline", "data", "training", "generation", "runs")
            for path in (engine / package).rglob("*.py")
            for node in ast.walk(ast.parse(path.read_text("utf-8")))
            if isinstance(node, ast.Constant) and node.value in names - words
        ]
        assert set(found) <= other

    def test_every_class_the_core_declares_is_there_and_of_its_kind(self) -> None:
        pytest.importorskip("torch")
        from musengine.interfaces import batching, optimizer, schedule
        from musengine.interfaces import callback as callbacks
        from musengine.interfaces import encoder as encoders
        from musengine.interfaces import loss as losses
        from musengine.interfaces import metric as metrics
        from musengine.interfaces import model as models
        from musengine.interfaces import reader as readers
        from musengine.interfaces import sampler as samplers
        from musengine.interfaces import writer as writers

        bases = {
            "reader": readers.Reader,
            "encoder": encoders.Encoder,
            "model": models.Model,
            "loss": losses.Loss,
            "sampler": samplers.Sampler,
            "metric": metrics.Metric,
            "writer": writers.Writer,
            "callback": callbacks.Callback,
            "optimizer": optimizer.OptimizerFactory,
            "schedule": schedule.Schedule,
            "batching": batching.BatchingStrategy,
        }
        for (kind, _name), entry in manager.load_from([]).registry.entries.items():
            if kind == "command":
                assert callable(entry.load())
                assert callable(entry.load_part(entry.declaration.arguments))
            elif not entry.missing_requirements():
                assert issubclass(entry.load(), bases[kind])


class TestAWorkingPlugin:
    EVERY_HOOK = (
        HEAD
        + """
from dataclasses import dataclass
from musengine.config.fields import Config, setting
from musengine.encoding.layouts import Layout

@dataclass(frozen=True, kw_only=True)
class LettersConfig(EncoderConfig):
    def layout(self):
        return Layout(name="letters")

@hookimpl
def musengine_readers():
    return (ReaderDeclaration(name="abc", summary="", target="a:B", suffixes=(".abc",)),)

@hookimpl
def musengine_encoders():
    return [EncoderDeclaration(name="letters", summary="", target="a:B", config=LettersConfig)]

@hookimpl
def musengine_models():
    yield ModelDeclaration(
        name="parrot", summary="Repeats", target="every_target:Parrot", config=ModelConfig,
        layouts=("letters",),
    )

@hookimpl
def musengine_losses():
    return [LossDeclaration(name="hinge", summary="", target="a:B")]

@hookimpl
def musengine_samplers():
    return [SamplerDeclaration(name="dice", summary="", target="a:B", layouts=("letters",))]

@hookimpl
def musengine_metrics():
    return [MetricDeclaration(name="vowels", summary="", target="a:B")]

@hookimpl
def musengine_writers():
    return [WriterDeclaration(name="lyrics", summary="", target="a:B", content=("text",))]

@hookimpl
def musengine_callbacks():
    need = Requirement(module="no_such_module_anywhere", install="pip install bell")
    return [CallbackDeclaration(name="bell", summary="", target="a:B", requires=(need,))]

@hookimpl
def musengine_optimizers():
    return [OptimizerDeclaration(name="lion", summary="", target="a:B", uses=("momentum",))]

@hookimpl
def musengine_schedules():
    return [ScheduleDeclaration(name="waves", summary="", target="a:B")]

@hookimpl
def musengine_batching():
    return [BatchingDeclaration(name="relay", summary="", target="a:B", stateful=True)]
"""
    )

    def test_every_hook_is_heard(self, site_packages: SitePackages) -> None:
        site_packages.add(
            "every-hook", {"every": "every_module"}, version="2.5", every_module=self.EVERY_HOOK
        )
        loaded = site_packages.load()
        offered = [(item.kind, item.name) for item in by_name(loaded, "every").declarations]
        assert offered == [
            ("reader", "abc"),
            ("encoder", "letters"),
            ("model", "parrot"),
            ("loss", "hinge"),
            ("sampler", "dice"),
            ("metric", "vowels"),
            ("writer", "lyrics"),
            ("callback", "bell"),
            ("optimizer", "lion"),
            ("schedule", "waves"),
            ("batching", "relay"),
        ]
        for kind, name in offered:
            assert str(loaded.registry.get(kind, name).origin) == "every-hook 2.5"

    def test_a_class_is_imported_on_first_use_only(self, site_packages: SitePackages) -> None:
        site_packages.add(
            "every-hook",
            {"every": "every_module"},
            every_module=self.EVERY_HOOK,
            every_target="class Parrot: pass",
        )
        entry = site_packages.load().registry.get("model", "parrot")
        assert "every_target" not in sys.modules
        assert entry.load().__name__ == "Parrot"

    def test_a_class_that_cannot_be_imported_names_its_distribution(
        self, site_packages: SitePackages
    ) -> None:
        add_good(site_packages)
        with refused(
            "component-broken", "'good-model'", "good-plugin 1.0", "'nowhere:Nothing'", "'nowhere'"
        ):
            site_packages.load().registry.get("model", "good-model").load()

    def test_a_missing_library_is_told_with_the_command_that_installs_it(
        self, site_packages: SitePackages
    ) -> None:
        site_packages.add("every-hook", {"every": "every_module"}, every_module=self.EVERY_HOOK)
        entry = site_packages.load().registry.get("callback", "bell")
        (message,) = entry.missing_requirements()
        with refused("library-missing", "'bell'", "pip install bell", message):
            entry.load()

    def test_a_library_whose_package_raises_counts_as_not_installed(
        self, site_packages: SitePackages
    ) -> None:
        (site_packages.folder / "broken_package").mkdir()
        (site_packages.folder / "broken_package" / "__init__.py").write_text(
            "raise RuntimeError('no')"
        )
        assert not Requirement(module="broken_package.part", install="").installed()
        assert Requirement(module="json.decoder", install="").installed()

    def test_the_listing_names_everything(self, site_packages: SitePackages) -> None:
        site_packages.add(
            "every-hook", {"every": "every_module"}, version="2.5", every_module=self.EVERY_HOOK
        )
        loaded = site_packages.load()
        (listed,) = [plugin for plugin in as_json(loaded) if plugin["name"] == "every"]
        assert (listed["distribution"], listed["version"]) == ("every-hook", "2.5")
        assert (listed["status"], listed["reasons"]) == ("ok", [])
        (parrot,) = [each for each in listed["components"] if each["name"] == "parrot"]
        assert (parrot["kind"], parrot["summary"], parrot["missing"]) == ("model", "Repeats", [])
        missing = {each["name"]: each["missing"] for each in listed["components"]}
        assert missing["bell"] == ["pip install bell"]
        assert missing["lion"] == []
        lines = as_lines(loaded)
        assert "every: every-hook 2.5  [ok]" in lines
        assert "  callback: bell (*)" in lines
        assert "  (*) needs: pip install bell" in lines


IMPORT_FAILURES = {
    "raise RuntimeError('the moon is\\n  wrong')": "RuntimeError: the moon is wrong",
    "raise SystemExit(3)": "SystemExit: 3",
    "raise RuntimeError": "RuntimeError",
    "import no_such_module_anywhere": (
        "ModuleNotFoundError: No module named 'no_such_module_anywhere'"
    ),
    "def": "SyntaxError: invalid syntax (bad_module.py, line 1)",
}
BROKEN_CONTRACTS = {
    # A hook's name misspelt.
    HEAD + "@hookimpl\ndef musengine_model():\n    return []": (
        "there is no hook 'musengine_model'; did you mean 'musengine_models'?"
    ),
    HEAD + "@hookimpl\ndef something_else():\n    return []": "there is no hook 'something_else'",
    # A hook that wants an argument, or raises.
    HEAD + "@hookimpl\ndef musengine_models(registry):\n    return []": "{'registry'}",
    HOOK.format("1 / 0"): "ZeroDivisionError: division by zero",
    # Rubbish returned.
    HOOK.format("'lstm'"): "musengine_models must return a list of ModelDeclaration, returned str",
    HOOK.format("None"): (
        "musengine_models must return a list of ModelDeclaration, returned NoneType"
    ),
    HOOK.format("[1, 2]"): "musengine_models must return ModelDeclaration, returned int",
    HOOK.format("[ModelDeclaration]"): (
        "musengine_models must return ModelDeclaration, returned ModelDeclaration"
    ),
    HOOK.format("[LossDeclaration(name='x', summary='', target='a:B')]"): (
        "musengine_models must return ModelDeclaration, returned LossDeclaration"
    ),
    HOOK.format("[ModelDeclaration(name='x')]"): "TypeError: ",
    # Declarations that would break a pipeline later.
    HOOK.format("[ModelDeclaration(name='x', summary='', target='a:B', layouts=('grid',))]"): (
        "the config of model 'x' is no ModelConfig"
    ),
    HOOK.format(
        "[ModelDeclaration(name='x', summary='', target='a:B', layouts='grid', config=ModelConfig)]"
    ): "layouts of model 'x' must be a tuple, got 'grid'",
    HOOK.format(
        "[ModelDeclaration(name='x', summary='', target='a:B', layouts=('grid',),"
        " config=ModelConfig, defaults=[5])]"
    ): "defaults of model 'x' must be a mapping, got [5]",
    HOOK.format(
        "[ModelDeclaration(name='x', summary='', target='a:B', layouts=('grid',),"
        " config=ModelConfig, default_for='grid')]"
    ): "default_for of model 'x' must be a tuple, got 'grid'",
    # What is wrong in a field, in its form or in a word.
    MODEL.format("requires=('miditok',)"): "requires of model 'x' must be a Requirement, got",
    MODEL.format(
        "layouts=('gird',)"
    ): "layouts of model 'x': there is no 'gird'; did you mean 'grid'?",
    MODEL.format("layouts=(5,)"): "layouts of model 'x' must be a str, got (5,)",
    MODEL.format("training='once'"): "training of model 'x' must be gradient or fit, got 'once'",
    MODEL.format("stateful=1"): "stateful of model 'x' must be a bool, got 1",
    MODEL.format("target='a.B'"): "target of model 'x' must be 'package.module:name', got 'a.B'",
    MODEL.format("name='My Model'"): "the name of model 'My Model' must be of small letters",
    MODEL.format("summary='two\\nlines'"): "the summary of model 'x' must be one line",
    MODEL.format("presets={'old': 5}"): "presets of model 'x' must be a mapping, got {'old': 5}",
    MODEL.format("templates={'x': 'pipeline.toml'}"): "template 'x' of model 'x' must be 'package:",
    READER.format(
        "suffixes=('mid',)"
    ): "suffixes of reader 'x' must be of small letters after a dot",
    READER.format("priority=True"): "priority of reader 'x' must be a int, got True",
    READER.format("content=('notes',)"): "content of reader 'x' must be score or text or",
    METRIC.format("better='less'"): "better of metric 'x' must be lower or higher, got 'less'",
    METRIC.format("better={'bits': 'up'}"): (
        "better of metric 'x' must be lower or higher, got {'bits': 'up'}"
    ),
    METRIC.format("needs='likelihood'"): "needs of metric 'x' must be a tuple, got 'likelihood'",
    # Without a table nothing gives it a key that it must have.
    METRIC.format("config=Needy, default_for=('likelihood',)"): (
        "every key of the config of metric 'x' needs a default"
    ),
    # Nothing declared: no hook at all, none marked, or an empty list.
    "": "bad_module declares nothing; are its hooks marked with @hookimpl?",
    "def musengine_models():\n    return 1": "bad_module declares nothing",
    HOOK.format("[]"): "bad_module declares nothing",
    HEAD
    + "@hookimpl\ndef musengine_optimizers():\n"
    + "    return [OptimizerDeclaration(name='x', summary='', target='a:B', uses='momentum')]": (
        "uses of optimizer 'x' must be a tuple, got 'momentum'"
    ),
}


class TestABrokenPlugin:
    @pytest.mark.parametrize(("source", "reason"), {**IMPORT_FAILURES, **BROKEN_CONTRACTS}.items())
    def test_is_named_with_its_reason_and_the_rest_goes_on(
        self, site_packages: SitePackages, source: str, reason: str
    ) -> None:
        add_good(site_packages)
        site_packages.add("bad-plugin", {"bad": "bad_module"}, "0.3", bad_module=source)
        loaded = site_packages.load()
        assert_rest_goes_on(loaded)
        bad = by_name(loaded, "bad")
        assert bad.status == "failed"
        assert str(bad.origin) == "bad-plugin 0.3"
        assert reason in bad.reasons[0]
        assert "\n" not in str(bad)
        assert loaded.broken == [bad]

    def test_defaults_that_no_pipeline_can_have(self, site_packages: SitePackages) -> None:
        source = MODEL.format(
            "target='there_module:There', defaults={'training': {'btch_size': 5}},"
            " presets={'old': {'training': {'batch_size': 0}, 'generte': {}}}"
        )
        site_packages.add(
            "bad-plugin", {"bad": "bad_module"}, bad_module=source, there_module="There = 1"
        )
        loaded = site_packages.load()
        registry = loaded.registry
        found = declared_problems(registry.get("model", "x"), registry)
        whose = "model 'x' of bad-plugin 1.0"
        assert {(each.file, each.table, each.key, each.code) for each in found} == {
            (whose, "training", "btch_size", "unknown-key"),
            (f"preset 'old' of {whose}", "training", "batch_size", "out-of-range"),
            (f"preset 'old' of {whose}", "", "generte", "unknown-table"),
        }
        # A user may set another value over them, so the plugin can be used.
        assert by_name(loaded, "bad").status == "ok"

    @pytest.mark.parametrize(
        ("target", "source", "broken"),
        [
            ("there_module:There", "class There: pass", False),
            ("there_module:There", "from elsewhere import There", False),
            ("there_module:There", "class Their: pass", True),
            ("nowhere_at_all:There", "", True),
        ],
    )
    def test_a_class_is_looked_for_without_importing_its_module(
        self, site_packages: SitePackages, target: str, source: str, broken: bool
    ) -> None:
        site_packages.add(
            "bad-plugin",
            {"bad": "bad_module"},
            bad_module=MODEL.format(f"target={target!r}"),
            there_module=source,
        )
        entry = site_packages.load().registry.get("model", "x")
        message = entry.broken_target()
        assert (repr(target) in message, "bad-plugin 1.0" in message) == (broken, broken)
        assert "there_module" not in sys.modules

    @pytest.mark.parametrize("source", [*IMPORT_FAILURES, *BROKEN_CONTRACTS])
    def test_raises_when_strict(self, site_packages: SitePackages, source: str) -> None:
        site_packages.add("bad-plugin", {"bad": "bad_module"}, bad_module=source)
        with pytest.raises((Exception, SystemExit)):
            site_packages.load(strict=True)

    def test_one_bad_hook_takes_the_whole_plugin(self, site_packages: SitePackages) -> None:
        # Half a plugin would fail later and elsewhere.
        losses = "\n@hookimpl\ndef musengine_losses():\n    return 7\n"
        site_packages.add(
            "bad-plugin", {"bad": "bad_module"}, bad_module=declaring("half") + losses
        )
        loaded = site_packages.load()
        assert by_name(loaded, "bad").declarations == []
        assert "half" not in loaded.registry.names("model")

    def test_an_entry_point_that_leads_nowhere(self, site_packages: SitePackages) -> None:
        add_good(site_packages)
        site_packages.add("bad-plugin", {"bad": "good_module:nothing_here"})
        loaded = site_packages.load()
        assert_rest_goes_on(loaded)
        assert by_name(loaded, "bad").reasons[0].startswith("AttributeError: ")

    def test_an_unknown_name_tells_what_is_not_loaded(self, site_packages: SitePackages) -> None:
        site_packages.add(
            "bad-plugin", {"bad": "bad_module"}, bad_module="raise RuntimeError('moon')"
        )
        with pytest.raises(UserError) as caught:
            site_packages.load().registry.get("model", "moonlight")
        assert caught.value.code == "unknown-component"
        assert "'moonlight'" in str(caught.value)
        assert str(caught.value).endswith("bad (bad-plugin 1.0) failed: RuntimeError: moon")

    def test_an_unknown_name_tells_the_nearest_or_all(self, site_packages: SitePackages) -> None:
        add_good(site_packages)
        registry = site_packages.load().registry
        with refused("unknown-component", "'god-model'", "'good-model'"):
            registry.get("model", "god-model")
        with refused("unknown-component", "'xyz'", ", ".join(registry.names("encoder"))):
            registry.get("encoder", "xyz")


class TestDamagedMetadata:
    def test_a_distribution_without_a_name(self, site_packages: SitePackages) -> None:
        add_good(site_packages)
        module = declaring("nameless-model")
        site_packages.add(
            "nameless", {"nameless": "nameless_module"}, metadata=False, nameless_module=module
        )
        # The same entry point twice, one owner without a name: sorting must not stumble.
        site_packages.add("good-copy", {"nameless": "nameless_module"})
        loaded = site_packages.load()
        assert_rest_goes_on(loaded)
        reasons = {
            "; ".join(plugin.reasons) for plugin in loaded.plugins if plugin.name == "nameless"
        }
        assert reasons == {
            "entry point 'nameless' is claimed by good-copy 1.0 and unknown distribution"
        }

    @pytest.mark.parametrize("text", ["[musengine]\nwords without an equals sign\n", b"[\xff"])
    def test_entry_points_that_cannot_be_read(
        self, site_packages: SitePackages, text: str | bytes, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(sys, "path", [str(site_packages.folder)])
        add_good(site_packages)
        site_packages.add("damaged-one", "")
        raw = text if isinstance(text, bytes) else text.encode()
        (site_packages.folder / "damaged_one-1.0.dist-info" / "entry_points.txt").write_bytes(raw)
        loaded = manager.load.__wrapped__()
        assert_rest_goes_on(loaded)
        damaged = by_name(loaded, "damaged-one")
        assert damaged.status == "failed"
        assert damaged.reasons[0].startswith("its entry_points.txt cannot be read: ")

    def test_an_interrupt_that_nobody_made_is_the_plugin_s(
        self, site_packages: SitePackages
    ) -> None:
        add_good(site_packages)
        site_packages.add("rude", {"rude": "rude_module"}, rude_module="raise KeyboardInterrupt")
        loaded = manager.load_from(site_packages.entry_points())
        assert_rest_goes_on(loaded)
        assert by_name(loaded, "rude").reasons == ["KeyboardInterrupt"]

    def test_ctrl_c_while_a_plugin_is_imported_ends_it_all(
        self, site_packages: SitePackages
    ) -> None:
        code = "import signal\nsignal.raise_signal(signal.SIGINT)"
        site_packages.add("slow", {"slow": "slow_module"}, slow_module=code)
        before = signal.getsignal(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            manager.load_from(site_packages.entry_points())
        assert signal.getsignal(signal.SIGINT) is before

    def test_a_list_without_an_end(self, site_packages: SitePackages) -> None:
        add_good(site_packages)
        endless = MODEL.replace("return [", "return itertools.repeat(").replace("]\n", ")\n")
        site_packages.add("long", {"long": "long_module"}, long_module="import itertools" + endless)
        loaded = manager.load_from(site_packages.entry_points())
        assert_rest_goes_on(loaded)
        assert "more than 1,000 declarations" in by_name(loaded, "long").reasons[0]

    @pytest.mark.parametrize("text", [b"[x]\nwords without an equals sign\n", b"[\xff"])
    def test_metadata_that_another_library_fails_at(
        self, site_packages: SitePackages, text: bytes, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(sys, "path", [str(site_packages.folder)])
        site_packages.add("damaged-one", "")
        (site_packages.folder / "damaged_one-1.0.dist-info/entry_points.txt").write_bytes(text)
        with pytest.raises(Exception) as caught:  # noqa: PT011  whatever the library raises
            importlib.metadata.entry_points(group="torch.backends")
        assert "distribution damaged-one 1.0 is damaged" in manager.damaged_metadata(caught.value)
        assert manager.damaged_metadata(ValueError("something else")) is None

    def test_a_damaged_distribution_that_has_nothing_to_do_with_it(
        self, site_packages: SitePackages, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(sys, "path", [str(site_packages.folder)])
        add_good(site_packages)
        site_packages.add("damaged-one", "[console_scripts]\nwords without an equals sign\n")
        loaded = manager.load.__wrapped__()
        assert_rest_goes_on(loaded)
        assert loaded.broken == []


class TestClashes:
    def test_one_entry_point_of_two_distributions(self, site_packages: SitePackages) -> None:
        add_good(site_packages)
        site_packages.add(
            "first-one", {"twin": "first_module"}, "1.1", first_module=declaring("one")
        )
        site_packages.add(
            "second-one", {"twin": "second_module"}, "2.2", second_module=declaring("two")
        )
        loaded = site_packages.load()
        assert_rest_goes_on(loaded)
        twins = [plugin for plugin in loaded.plugins if plugin.name == "twin"]
        reason = "entry point 'twin' is claimed by first-one 1.1 and second-one 2.2"
        assert [(twin.status, twin.reasons) for twin in twins] == [("conflict", [reason])] * 2
        for name in ("one", "two"):
            with refused("unknown-component", "twin (first-one 1.1) conflict: "):
                loaded.registry.get("model", name)

    def test_one_component_name_of_two_plugins(self, site_packages: SitePackages) -> None:
        add_good(site_packages)
        site_packages.add(
            "first-one", {"first": "first_module"}, first_module=declaring("same", "one")
        )
        site_packages.add(
            "second-one", {"second": "second_module"}, second_module=declaring("two", "same")
        )
        loaded = site_packages.load()
        assert_rest_goes_on(loaded)
        reason = "model 'same' is claimed by first-one 1.0 and second-one 1.0"
        for name in ("first", "second"):
            assert by_name(loaded, name).status == "conflict"
            assert by_name(loaded, name).reasons == [reason]
        with pytest.raises(UserError) as caught:
            loaded.registry.get("model", "same")
        assert caught.value.code == "component-contested"
        assert str(caught.value).startswith(reason)
        assert "MUSENGINE_PLUGINS" in str(caught.value)
        # Their other components are usable, and no message says that they are not loaded.
        assert loaded.registry.get("model", "one").origin.distribution == "first-one"
        assert loaded.registry.get("model", "two").origin.distribution == "second-one"
        assert loaded.registry.absent == []

    def test_choosing_one_of_the_two_ends_the_clash(self, site_packages: SitePackages) -> None:
        site_packages.add("first-one", {"first": "first_module"}, first_module=declaring("same"))
        site_packages.add(
            "second-one", {"second": "second_module"}, second_module=declaring("same")
        )
        loaded = site_packages.load({"second"})
        assert loaded.registry.get("model", "same").origin.distribution == "second-one"
        assert loaded.broken == []

    def test_three_claim_one_name(self, site_packages: SitePackages) -> None:
        for name in ("a", "b", "c"):
            site_packages.add(
                f"plugin-{name}", {name: f"module_{name}"}, **{f"module_{name}": declaring("x")}
            )
        loaded = site_packages.load()
        reason = "model 'x' is claimed by plugin-a 1.0 and plugin-b 1.0 and plugin-c 1.0"
        assert [plugin.reasons for plugin in loaded.broken] == [[reason]] * 3

    def test_one_name_for_two_kinds_is_no_clash(self, site_packages: SitePackages) -> None:
        source = HEAD + (
            "@hookimpl\ndef musengine_losses():\n"
            "    return [LossDeclaration(name='frequencies', summary='', target='a:B')]\n"
        )
        site_packages.add("one-plugin", {"one": "one_module"}, one_module=source)
        loaded = site_packages.load()
        assert loaded.broken == []
        assert loaded.registry.get("loss", "frequencies").origin.distribution == "one-plugin"

    def test_one_plugin_that_declares_a_name_twice(self, site_packages: SitePackages) -> None:
        site_packages.add("one-plugin", {"one": "one_module"}, one_module=declaring("x", "y", "x"))
        loaded = site_packages.load()
        reason = "model 'x' is claimed by one-plugin 1.0 more than once"
        assert by_name(loaded, "one").reasons == [reason]
        assert loaded.registry.get("model", "y")
        assert "x" not in loaded.registry.names("model")

    def test_the_core_keeps_its_names(self, site_packages: SitePackages) -> None:
        add_good(site_packages)
        for name in ("first", "second"):
            source = declaring("frequencies", f"{name}-model")
            site_packages.add(f"{name}-one", {name: f"{name}_module"}, **{f"{name}_module": source})
        loaded = site_packages.load()
        assert_rest_goes_on(loaded)
        for name in ("first", "second"):
            plugin = by_name(loaded, name)
            assert plugin.status == "conflict"
            assert plugin.reasons == ["model 'frequencies' is a name of the core's own"]
            assert loaded.registry.get("model", f"{name}-model")


class TestTheEnvironment:
    """`load` reads two variables; the plugins here stand beside whatever is installed."""

    @pytest.fixture(autouse=True)
    def _two_plugins(self, site_packages: SitePackages) -> None:
        add_good(site_packages)
        site_packages.add(
            "bad-plugin", {"bad": "bad_module"}, bad_module="raise RuntimeError('moon')"
        )

    def statuses(self) -> Mapping[str, str]:
        return {plugin.name: plugin.status for plugin in manager.load.__wrapped__().plugins}

    def test_without_them_everything_is_loaded(self) -> None:
        statuses = self.statuses()
        assert (statuses["core"], statuses["good"], statuses["bad"]) == ("ok", "ok", "failed")

    def test_a_selection(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("MUSENGINE_PLUGINS", " good ,")
        loaded = manager.load.__wrapped__()
        assert by_name(loaded, "good").status == "ok"
        assert by_name(loaded, "bad").status == "disabled"
        assert by_name(loaded, "bad").reasons == ["not named in MUSENGINE_PLUGINS"]
        assert "bad_module" not in sys.modules
        assert loaded.broken == []
        with refused("unknown-component", "bad (bad-plugin 1.0) disabled: "):
            loaded.registry.get("model", "moonlight")

    def test_an_empty_selection(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("MUSENGINE_PLUGINS", "")
        statuses = self.statuses()
        assert statuses.pop("core") == "ok"
        assert set(statuses.values()) == {"disabled"}

    def test_one_that_is_not_installed(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("MUSENGINE_PLUGINS", "good,ghost")
        loaded = manager.load.__wrapped__()
        ghost = by_name(loaded, "ghost")
        assert ghost.status == "missing"
        assert str(ghost) == "ghost missing: named in MUSENGINE_PLUGINS but not installed"
        assert loaded.broken == [ghost]
        assert_rest_goes_on(loaded)

    def test_strict(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("MUSENGINE_STRICT", "1")
        with pytest.raises(RuntimeError, match="moon"):
            manager.load.__wrapped__()
        monkeypatch.setenv("MUSENGINE_STRICT", "0")
        assert self.statuses()["bad"] == "failed"


def test_loading_every_installed_plugin_imports_no_torch(
    site_packages: SitePackages, tmp_path: Path
) -> None:
    """Nor NumPy: what is declared is names and settings."""
    add_good(site_packages)
    program = (
        "import sys; from musengine.plugins import manager; loaded = manager.load(); "
        "loaded.registry.get('model', 'good-model'); "
        "print([name for name in ('torch', 'numpy', 'miditoolkit') if name in sys.modules])"
    )
    run: dict[str, Any] = {"capture_output": True, "text": True, "check": True, "cwd": tmp_path}
    done = subprocess.run([sys.executable, "-c", program], env=site_packages.environment(), **run)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("editable", [False, True])
def test_an_edit_of_a_plugin_is_another_code_where_it_is_editable(
    site_packages: SitePackages, editable: bool
) -> None:
    site_packages.add(
        "own-plugin",
        {"own": "own_plugin"},
        own_plugin=MODEL.format("target='own_module:Own'"),
        own_module="class Own: pass",
    )
    (info,) = site_packages.folder.glob("*.dist-info")
    installed = {"url": "file:///somewhere", "dir_info": {"editable": editable}}
    (info / "direct_url.json").write_text(json.dumps(installed))
    entry = site_packages.load().registry.get("model", "x")
    sources._is_editable.cache_clear()
    before = code_version(entry)
    assert before.startswith("own-plugin 1.0")
    sources._digest.cache_clear()
    assert code_version(entry) == before
    (site_packages.folder / "own_module.py").write_text("class Own: more = 1")
    sources._digest.cache_clear()
    assert (code_version(entry) != before) is editable
