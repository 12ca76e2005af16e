"""The JSON Schema of a pipeline file, for exactly the components that are installed."""

# Draft 7: Taplo, the language server behind Even Better TOML and most other editors' TOML support,
# validates drafts 4, 6 and 7, of which only the last has if/then; Tombi reads it as well. Habits
# of these two shape what is written here:
# - Where an anyOf or oneOf fails, Taplo says only that no alternative fits and underlines the whole
#   table. So `type` selects a component's table by if/then, whose errors stand at the key at fault.
# - For completing and explaining keys Taplo follows anyOf, items and $ref, but not if/then. So the
#   same tables stand in an anyOf too, which a last alternative lets always pass.
# - Tombi takes an object as closed unless it says `additionalProperties`, even where the keys are
#   declared beside it.

from __future__ import annotations

import json
from collections.abc import Container, Iterable, Mapping, Sequence
from typing import Any
from urllib.parse import quote

from musengine.config.fields import Config, settings_of
from musengine.config.setting_types import Schema, any_of
from musengine.config.toml import UNSET
from musengine.pipeline.sections import INSIDE, LAYERED, LISTS, ORDER, SECTIONS, SINGLE
from musengine.plugins.registry import Registry, RegistryEntry

DRAFT = "http://json-schema.org/draft-07/schema#"
DESCRIPTIONS = {
    "encoder": "How music becomes arrays and arrays become music.",
    "model": "What is trained.",
    "loss": "What training makes small.",
    "sampler": "How choices are drawn from the model's probabilities; several make a chain.",
    "metric": "What is measured of the model, or of generated pieces.",
    "output": "In which form generated pieces are written.",
    "callback": "What is notified of the events of a run.",
    "reader": "The reader to use, where several could read the files: a name or a table.",
    "batching": "How pieces become batches: a name or a table.",
    "optimizer": "The optimizer: a name or a table.",
    "schedule": "How the learning rate changes: a name or a table.",
}


def pipeline_schema(registry: Registry) -> tuple[Schema, list[str]]:
    """Return the schema, and what could not be described, one message for each component."""
    maker = _Maker(registry)
    return maker.pipeline(), maker.problems


def table_schema(cls: type[Config], supplied: Container[str] = ()) -> Schema:
    """Return the schema of the table that a Config stands for.

    Args:
        cls: the dataclass.
        supplied: keys that may stay away although they have no default.
    """
    settings = settings_of(cls)
    schema: Schema = {"type": "object", "additionalProperties": False}
    schema["properties"] = {each.key: each.schema() for each in settings}
    if required := [each.key for each in settings if each.required and each.key not in supplied]:
        schema["required"] = required
    return schema


def _reference(definition: str) -> Schema:
    # A slash and a tilde have a meaning of their own in a pointer.
    pointer = definition.replace("~", "~0").replace("/", "~1")
    return {"$ref": f"#/definitions/{quote(pointer, safe='')}"}


class _Maker:
    """Puts one schema together; what several tables need becomes a definition."""

    def __init__(self, registry: Registry) -> None:
        self.registry = registry
        self.problems: list[str] = []
        self.definitions: dict[str, Schema] = {}
        self.layers = [
            layer
            for kind in LAYERED
            for entry in registry.of_kind(kind)
            for layer in (entry.declaration.defaults, *entry.declaration.presets.values())
        ]

    def pipeline(self) -> Schema:
        tables: dict[str, Schema] = {}
        for name in ORDER:
            if name in SECTIONS:
                tables[name] = self._section(name)
            elif name in SINGLE:
                tables[name] = self._single(name)
            else:
                tables[name] = self._list(name)
        required = [name for name in ORDER if "required" in tables[name]]
        entries = self.registry.entries.values()
        made_for = sorted({str(entry.origin) for entry in entries})
        return {
            "$schema": DRAFT,
            "title": "musengine pipeline",
            "description": f"A pipeline of {', '.join(made_for)}.",
            "type": "object",
            "additionalProperties": False,
            "required": required,
            "properties": tables,
            "definitions": self.definitions,
        }

    def _section(self, name: str) -> Schema:
        cls = SECTIONS[name]
        schema = table_schema(cls, self._supplied(name))
        for (section, key), kind in INSIDE.items():
            if section == name:
                schema["properties"][key] = self._inside(section, key, kind)
        schema["properties"][UNSET] = _unset(schema["properties"])
        return {"description": (cls.__doc__ or "").partition("\n")[0], **schema}

    def _single(self, table: str) -> Schema:
        """Return a table that one component of a kind is chosen by."""
        kind = SINGLE[table]
        default = {layer["type"] for layer in self._tables(table) if "type" in layer}
        if table == "encoder":
            default |= {entry.name for entry in self.registry.defaults_for(kind, "score")[:1]}
        # Without a type the component is another's default, or chosen by the layout.
        unnamed = [
            _reference(f"{kind}.{name}") for name in self.registry.names(kind) if name in default
        ]
        if table == "loss":
            unnamed.append({"maxProperties": 0})
        schema = self._component(kind, table, unnamed)
        return {"description": DESCRIPTIONS[table], **schema, **self._needed(unnamed)}

    def _needed(self, unnamed: Sequence[Schema]) -> Schema:
        return {} if unnamed else {"required": ["type"]}

    def _list(self, table: str) -> Schema:
        """Return a list of components of a kind; a single table stands for a list of one."""
        kind = LISTS[table]
        component = {"description": DESCRIPTIONS[table], **self._component(kind, table)}
        self.definitions[table] = {**component, "required": ["type"]}
        return {
            "description": DESCRIPTIONS[table],
            "type": ["array", "object"],
            "items": _reference(table),
            "additionalProperties": True,
            "allOf": [{"if": {"type": "object"}, "then": _reference(table)}],
        }

    def _inside(self, section: str, key: str, kind: str) -> Schema:
        """Return a key of a section that holds a component's name, or its table."""
        names = {"enum": self.registry.names(kind)}
        component = self._component(kind, f"{section}.{key}")
        self.definitions[key] = {**component, "required": ["type"]}
        return {
            "description": DESCRIPTIONS[key],
            "type": ["string", "object"],
            "additionalProperties": True,
            "anyOf": [names, _reference(key), {}],
            "allOf": [
                {"if": {"type": "string"}, "then": names},
                {"if": {"type": "object"}, "then": _reference(key)},
            ],
        }

    def _component(self, kind: str, table: str, unnamed: Sequence[Schema] = ()) -> Schema:
        entries = self.registry.of_kind(kind)
        for entry in entries:
            described = self._described(entry, _head(entry), self._supplied(table))
            self.definitions[f"{kind}.{entry.name}"] = described
        known = {"properties": {"type": {"enum": [entry.name for entry in entries]}}}
        rules: list[Schema] = [
            {"if": _typed(entry.name), "then": _reference(f"{kind}.{entry.name}")}
            for entry in entries
        ]
        # An unknown type must fail too, with the known ones named.
        rules.append({"if": {"required": ["type"]}, "then": known})
        if unnamed:
            rules[-1]["else"] = any_of(unnamed)
        tables = [_reference(f"{kind}.{entry.name}") for entry in entries]
        return {
            "type": "object",
            "additionalProperties": True,
            "anyOf": [*tables, {"type": "object", "additionalProperties": True}],
            "allOf": rules,
        }

    def _described(self, entry: RegistryEntry, head: Schema, supplied: Container[str]) -> Schema:
        """Return a component's table; of one that cannot be described, what is known of it."""
        declaration = entry.declaration
        try:
            schema = table_schema(declaration.config, supplied)
            # A plugin's own value type may give something that is no JSON.
            json.dumps(schema)
        except Exception as error:  # the component is another's, and so is the mistake
            self.problems.append(
                f"{declaration.kind} {entry.name!r} of {entry.origin}: its settings cannot be "
                f"described: {type(error).__name__}: {error}"
            )
            schema = {"type": "object", "additionalProperties": True, "properties": {}}
        schema["properties"] = head | schema["properties"]
        if declaration.kind in LAYERED:
            schema["properties"][UNSET] = _unset(schema["properties"])
        needs = "".join(f" Needs: {need.install}" for need in declaration.requires)
        return {"title": entry.name, "description": f"{declaration.summary}.{needs}", **schema}

    def _tables(self, name: str) -> list[Mapping[str, Any]]:
        """Return what models and encoders set one table to, presets included."""
        found = (layer.get(name) for layer in self.layers)
        return [table for table in found if isinstance(table, Mapping)]

    def _supplied(self, name: str) -> set[str]:
        """Return the keys of a table that a default or a preset may give."""
        return {key for table in self._tables(name) for key in table}


def _head(entry: RegistryEntry) -> Schema:
    """Return the keys of a component's table that are not settings: its type, and its presets."""
    declaration = entry.declaration
    head: Schema = {"type": {"const": entry.name, "description": declaration.summary}}
    if declaration.kind in LAYERED and declaration.presets:
        head["preset"] = {
            "description": "Values that belong together, under those of this file.",
            "enum": list(declaration.presets),
        }
    return head


def _unset(keys: Iterable[str]) -> Schema:
    """Return the key that takes others away; there must be one at least."""
    return {
        "description": "Keys whose values are taken away, those of presets and other defaults.",
        "type": "array",
        "items": {"enum": [*keys]},
        "minItems": 1,
    }


def _typed(name: str) -> Schema:
    return {"properties": {"type": {"const": name}}, "required": ["type"]}
