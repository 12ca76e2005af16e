"""What a pipeline leaves open, chosen by what the installed components declare."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from musengine.config.fields import Setting, settings_of
from musengine.encoding.layouts import Layout
from musengine.errors import Finding, UserError, did_you_mean
from musengine.interfaces.training import TrainingConfig
from musengine.pipeline.layers import Layer, LayeredTables, Place, known_tables, merged
from musengine.pipeline.sections import INSIDE, LISTS, SECTIONS, SINGLE
from musengine.plugins.configs import EncoderConfig
from musengine.plugins.declarations import ModelDeclaration
from musengine.plugins.registry import Component, Registry, RegistryEntry


class Defaults:
    """Lays defaults and presets under the user's tables, and fills what is then still open.

    Attributes:
        omitted: a line for each component that is a default and cannot be used, and why.
    """

    def __init__(self, registry: Registry, problem: Callable[[Finding, str], None]) -> None:
        """Choose among what is installed.

        Args:
            registry: the components that can be used.
            problem: called with a mistake and who made it; that is empty where the user did.
        """
        self.registry, self.problem = registry, problem
        self.omitted: list[str] = []
        self.model: RegistryEntry | None = None

    def layered(self, user: Mapping[str, Any], *apart: Mapping[str, Any]) -> LayeredTables:
        """Lay the user's tables over presets, over what model and encoder set by default.

        Args:
            user: all that the user sets.
            apart: the same in layers, the lowest first.
        """
        # So that every section is there, also one that nobody mentions.
        nothing = Layer("", {name: {} for name in (*SECTIONS, "encoder", "model")})
        layers = [nothing, *self._declared(user), *(Layer("", tables) for tables in apart)]
        result = LayeredTables(meant_for=self._meant_for(), usual=self._usual())
        for layer in layers:
            result.lay(layer)
        for name in ("encoder", "model"):
            result.tables[name].pop("preset", None)
        for name in LISTS:
            # Lists are replaced as a whole: the highest layer that has one is whose it is.
            owner = next((layer for layer in reversed(layers) if name in layer.tables), nothing)
            if owner.optional:
                usable = [item for item in owner.tables[name] if self._usable(name, item, owner)]
                result.replace(name, usable, owner.origin)
                if not usable:
                    del result.tables[name]
        return result

    def _meant_for(self) -> dict[Place, Place]:
        """Return the keys whose values are one component's, and the key that names it."""
        own = {each.key: each.meant_for for each in settings_of(TrainingConfig) if each.meant_for}
        places = {("training", key): ("training", part) for key, part in own.items()}
        for each in self._instead():
            if each.instead_of in own:
                places["model", each.key] = ("training", own[each.instead_of])
        return places

    def _instead(self) -> list[Setting]:
        """Return the model's keys that can be in the place of one of `[training]`."""
        settings = settings_of(self.model.declaration.config) if self.model is not None else ()
        return [each for each in settings if each.instead_of]

    def _usual(self) -> dict[Place, str]:
        """Return the components inside sections that are taken where none is named."""
        usual: dict[Place, str] = {}
        for (section, key), kind in INSIDE.items():
            # Backwards, so that the first that can be used is the last to be written.
            for entry in reversed(self.registry.defaults_for(kind, section)):
                if not entry.missing_requirements():
                    usual[section, key] = entry.name
        return usual

    def complete(self, layers: LayeredTables) -> None:
        """Name the components that sections are left without, and lay their own defaults below."""
        for (section, key), kind in INSIDE.items():
            # First all names, then below what each of them declares: two loops, since one
            # component's defaults may name another.
            if layers.tables[section].get(key) is None:
                for entry in self._usable_defaults(f"{section}.{key}", kind, section)[:1]:
                    layers.lay(Layer(_default_of(entry), {section: {key: entry.name}}))
        for (section, key), kind in INSIDE.items():
            try:
                entry = self.registry.get(kind, str(layers.named(layers.tables, (section, key))))
            except UserError:  # a problem where the component is built
                continue
            whose = f"{kind} {entry.name!r} of {entry.origin}"
            layers.fill(Layer(whose, self._known(whose, entry.declaration.defaults)))
        self._leave_superseded(layers)
        layers.follow()

    def _leave_superseded(self, layers: LayeredTables) -> None:
        """Drop keys of `[training]` in whose place the model has one that is set.

        Those that the user set are mistakes.
        """
        for each in self._instead():
            given = layers.tables["model"].get(each.key, each.default)
            if given == each.default:
                continue
            if layers.origins.get(("training", each.instead_of)) == "":
                message = (
                    f"does nothing beside model.{each.key}; leave it out, or take that away "
                    f"(--set model.{each.key}=)"
                )
                self.problem(Finding("training", each.instead_of, message, code="key-unused"), "")
            layers.take("training", each.instead_of)

    def _declared(self, user: Mapping[str, Any]) -> list[Layer]:
        """Return what the declarations of model and encoder set, the lowest first."""
        defaults: list[Layer] = []
        presets: list[Layer] = []
        # The model first: it may name an encoder, whose own defaults lie under the model's.
        for table in ("model", "encoder"):
            chosen = merged([*defaults, *presets, Layer("", user)]).tables.get(table, {})
            if "type" not in chosen and table == "encoder":
                layer = self._default_encoder()
                defaults.insert(0, layer)
                chosen = layer.tables["encoder"]
            try:
                entry = self.registry.get(table, str(chosen.get("type")))
            except UserError:  # a problem where the component is built
                continue
            if table == "model":
                self.model = entry
            whose = f"{table} {entry.name!r} of {entry.origin}"
            values = self._known(whose, entry.declaration.defaults)
            # At the front: what is found later, the encoder's, lies lower.
            defaults.insert(0, Layer(whose, values, optional=True))
            if (preset := user.get(table, {}).get("preset")) is not None:
                whose = f"preset {preset!r} of {whose}"
                values = self._known(whose, self._preset(table, entry, preset))
                # A preset was chosen by the user, so that all of it counts and none of it is
                # optional.
                presets.insert(0, Layer(whose, values))
        return [*defaults, *presets]

    def _default_encoder(self) -> Layer:
        for entry in self._usable_defaults("encoder", "encoder", "score")[:1]:
            return Layer(_default_of(entry), {"encoder": {"type": entry.name}})
        return Layer("", {"encoder": {}})

    def _known(self, origin: str, tables: Mapping[str, Any]) -> dict[str, Any]:
        """Return the tables of a declaration that there can be."""
        known, wrong = known_tables(tables)
        for finding in wrong:
            self.problem(finding, origin)
        return known

    def _preset(self, table: str, entry: RegistryEntry, name: object) -> Mapping[str, Any]:
        presets = entry.declaration.presets
        if isinstance(name, str) and name in presets:
            return presets[name]
        there = f"; there are: {', '.join(presets)}" if presets else "; it has none"
        near = did_you_mean(str(name), presets) or there
        message = f"{entry.name!r} has no preset {name!r}{near}"
        self.problem(Finding(table, "preset", message, code="unknown-preset"), "")
        return {}

    def _usable(self, table: str, item: Mapping[str, Any], owner: Layer) -> bool:
        """Return whether a component that is a default is installed; omit it where it is not."""
        try:
            missing = self.registry.get(LISTS[table], str(item.get("type"))).missing_requirements()
        except UserError as error:
            missing = [str(error)]
        self._omit(table, owner.origin, missing)
        return not missing

    def _omit(self, table: str, origin: str, missing: list[str]) -> None:
        line = f"[{table}] default of {origin} left out: {''.join(missing[:1])}"
        if missing and line not in self.omitted:
            self.omitted.append(line)

    def _usable_defaults(self, table: str, kind: str, thing: str) -> list[RegistryEntry]:
        """Return the components that are the default for something, without the unusable."""
        usable = []
        for entry in self.registry.defaults_for(kind, thing):
            missing = entry.missing_requirements()
            self._omit(table, str(entry.origin), missing)
            if not missing:
                usable.append(entry)
        return usable

    def fill_up(
        self,
        layers: LayeredTables,
        layout: Layout | None,
        encoder: Component | None,
        model: Component | None,
    ) -> None:
        """Choose what neither the user nor a default of model and encoder names.

        Args:
            layers: the tables, added to.
            layout: of the encoder's arrays.
            encoder: None, as its layout is, where it cannot be built.
            model: None where it cannot be built.
        """
        self._take(layers, "callback", "run", most=1)
        if layout is None or encoder is None or model is None:
            return
        assert isinstance(encoder.config, EncoderConfig)
        declaration = model.declared(ModelDeclaration)
        self._take(layers, "output", *encoder.config.produces())
        self._take(layers, "metric", *declaration.offers)
        if declaration.uses_samplers and "sampler" not in layers.tables:
            self._take_by_layout(layers, "sampler", layout)
        if declaration.takes_loss and not layers.tables.get("loss"):
            self._take_by_layout(layers, "loss", layout)

    def _take(
        self, layers: LayeredTables, table: str, *things: str, most: int | None = None
    ) -> None:
        """Fill a list that nobody gives with the defaults for some things."""
        if table in layers.tables:
            return
        kind = LISTS[table]
        found = [each for thing in things for each in self._usable_defaults(table, kind, thing)]
        entries = {entry.name: entry for entry in found}
        _lay(layers, table, list(entries.values())[:most])

    def _take_by_layout(self, layers: LayeredTables, table: str, layout: Layout) -> None:
        """Take the default for a layout, or the only component that declares it."""
        kind = {**LISTS, **SINGLE}[table]
        entries = self._usable_defaults(table, kind, layout.name)[:1]
        if not entries:
            entries = [
                entry
                for entry in self.registry.of_kind(kind)
                if layout.name in getattr(entry.declaration, "layouts", ())
            ]
        if len(entries) == 1:
            _lay(layers, table, entries)
            return
        names = ", ".join(entry.name for entry in entries)
        what = f"choose one of {names}" if entries else "none is installed"
        message = f"missing for the layout {layout.name!r}; {what}"
        self.problem(Finding(table, "type", message, code="missing-key"), "")


def _lay(layers: LayeredTables, table: str, entries: list[RegistryEntry]) -> None:
    items = [{"type": entry.name} for entry in entries]
    layers.tables[table] = items if table in LISTS else items[0]
    for index, entry in enumerate(entries):
        place = f"{table}.{index}" if table in LISTS else table
        layers.origins[place, "type"] = _default_of(entry)


def _default_of(entry: RegistryEntry) -> str:
    return f"default of {entry.origin}"
