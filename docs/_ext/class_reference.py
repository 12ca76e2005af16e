"""A directive that documents a class from its source, read and not imported.

`class-reference`, with `module:Class` as its argument, renders the class's docstring and its
public methods. Base classes of models, losses and samplers need torch to be imported; their
source does not.
"""

from __future__ import annotations

import ast
import importlib.util
from collections.abc import Iterator
from pathlib import Path

import prose
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

Method = ast.FunctionDef


class ClassDirective(SphinxDirective):
    """`class-reference`: one class."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        module, _, name = self.arguments[0].partition(":")
        found = self.found(module, name)
        if found is None:
            raise self.error(f"{module} has no class {name}")
        return list(described(found, module))

    def found(self, module: str, name: str) -> ast.ClassDef | None:
        """Return a class where it is defined, through modules that only import it."""
        spec = importlib.util.find_spec(module)
        if spec is None or spec.origin is None:
            raise self.error(f"there is no module {module}")
        self.env.note_dependency(spec.origin)
        for node in ast.walk(ast.parse(Path(spec.origin).read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef) and node.name == name:
                return node
            if isinstance(node, ast.ImportFrom) and name in {each.name for each in node.names}:
                return self.found(str(node.module), name)
        return None


def described(cls: ast.ClassDef, module: str) -> Iterator[nodes.Node]:
    """Yield the nodes of a class: where it lives, what it is, its methods."""
    where = f"from {module} import {cls.name}"
    yield nodes.literal_block(where, where, language="python")
    yield from prose.docstring(ast.get_docstring(cls) or "")
    items = [
        prose.definition(
            [nodes.literal(text, text)], *prose.docstring(ast.get_docstring(method) or "")
        )
        for method in cls.body
        if isinstance(method, Method) and not method.name.startswith("_")
        for text in [signature(method)]
    ]
    if items:
        yield nodes.definition_list("", *items)


def signature(method: Method) -> str:
    """Return how a method is declared, without `self`, and what is special about it."""
    decorators = {ast.unparse(decorator) for decorator in method.decorator_list}
    first = 0 if "staticmethod" in decorators else 1
    arguments = ast.arguments(
        posonlyargs=method.args.posonlyargs,
        args=method.args.args[first:],
        vararg=method.args.vararg,
        kwonlyargs=method.args.kwonlyargs,
        kw_defaults=method.args.kw_defaults,
        kwarg=method.args.kwarg,
        defaults=method.args.defaults,
    )
    result = f" -> {ast.unparse(method.returns)}" if method.returns is not None else ""
    if "property" in decorators:
        text = method.name + result.replace(" -> ", ": ")
    else:
        text = f"{method.name}({ast.unparse(arguments)}){result}"
    return f"{text}  # to be written" if "abstractmethod" in decorators else text


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_directive("class-reference", ClassDirective)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
