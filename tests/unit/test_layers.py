"""Layers of tables: which value counts, and whose each is."""

from __future__ import annotations

from musengine.pipeline.layers import Layer, merged


def test_tables_are_laid_key_by_key_and_lists_whole() -> None:
    result = merged(
        [
            Layer("a", {"training": {"steps": 1, "seed": 1}, "sampler": [{"type": "x", "k": 1}]}),
            Layer("b", {"training": {"steps": 2}, "output": [{"type": "y"}]}),
            Layer("", {"sampler": [{"type": "z"}, {"type": "x"}]}),
        ]
    )
    assert result.tables == {
        "training": {"steps": 2, "seed": 1},
        "sampler": [{"type": "z"}, {"type": "x"}],
        "output": [{"type": "y"}],
    }
    assert result.origins == {
        ("training", "steps"): "b",
        ("training", "seed"): "a",
        ("output.0", "type"): "b",
        ("sampler.0", "type"): "",
        ("sampler.1", "type"): "",
    }


def test_settings_of_another_component_are_dropped() -> None:
    below = Layer("a", {"encoder": {"type": "x", "size": 1}})
    # Without a type they are of whichever component it is.
    same = merged([below, Layer("b", {"encoder": {"step": 2}})])
    assert same.tables["encoder"] == {"type": "x", "size": 1, "step": 2}
    other = merged([below, Layer("b", {"encoder": {"type": "y", "step": 2}})])
    assert other.tables["encoder"] == {"type": "y", "step": 2}
    assert other.origins == {("encoder", "type"): "b", ("encoder", "step"): "b"}


def test_a_component_inside_a_section_is_laid_as_a_table_is() -> None:
    below = Layer("a", {"corpus": {"reader": {"type": "x", "size": 1}, "seed": 1}})
    named = merged([below, Layer("", {"corpus": {"reader": "x"}})])
    assert named.tables["corpus"] == {"reader": {"type": "x", "size": 1}, "seed": 1}
    assert named.origins["corpus.reader", "type"] == ""
    assert named.origins["corpus.reader", "size"] == "a"
    other = merged([below, Layer("", {"corpus": {"reader": "y"}})])
    assert other.tables["corpus"] == {"reader": {"type": "y"}, "seed": 1}
    assert ("corpus.reader", "size") not in other.origins


def test_layers_are_not_changed() -> None:
    tables = {"training": {"steps": 1}, "sampler": [{"type": "x"}]}
    result = merged([Layer("a", tables), Layer("b", {"training": {"steps": 2}})])
    result.tables["sampler"].append({"type": "y"})
    assert tables == {"training": {"steps": 1}, "sampler": [{"type": "x"}]}
