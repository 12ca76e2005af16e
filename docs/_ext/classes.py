"""Classes, functions and values from their source, which is read and not imported.

Base classes of models, losses and samplers need PyTorch to be imported; their source does not.
"""

from __future__ import annotations

import ast
import importlib.util
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from musengine import api as public
from musengine import testing as help_for_tests

from . import markdown

Function = ast.FunctionDef


def one_class(name: str, level: int) -> str:
    """Return a class of `musengine.api`: how it is imported, what it is, its methods."""
    node = _found(name).node
    if not isinstance(node, ast.ClassDef):
        raise ValueError(f"musengine.api has no class {name}")
    shown = markdown.code(f"from musengine.api import {name}")
    return "\n\n".join([shown, *_class_text(node)])


def api(places: str, level: int) -> str:
    """Return the names that `musengine.api` takes from some modules or packages of the core."""
    names = [name for place in places.split() for name in _names_from(place)]
    if not names:
        raise ValueError(f"musengine.api takes nothing from {places}")
    return "\n\n".join(_entry(name, _found(name), level) for name in sorted(names, key=str.lower))


def _names_from(place: str) -> Iterator[str]:
    for name, home in public._HOME.items():
        if f"{home}.".startswith(f"{place}."):
            yield name


def testing(module: str, level: int) -> str:
    """Return the names of a module of `musengine.testing`, of the package itself without one."""
    if not module:
        homes = {name: help_for_tests._HOME[name] for name in help_for_tests.__all__}
    else:
        body = _tree(f"musengine.testing.{module}").body
        names = [node.name for node in body if isinstance(node, Function | ast.ClassDef)]
        homes = {name: module for name in names if name[0] != "_"}
    return "\n\n".join(
        _entry(name, _definition(f"musengine.testing.{home}", name), level)
        for name, home in homes.items()
    )


def _found(name: str) -> Definition:
    if name not in public._HOME:
        raise ValueError(f"musengine.api has no {name}")
    return _definition(f"musengine.{public._HOME[name]}", name)


def _source(node: ast.AST) -> str:
    """Return the source of a node as it is formatted: double quotation marks, close powers."""
    quoted = re.sub(r"'([^'\"\\]*)'", r'"\1"', ast.unparse(node))
    return re.sub(r"(?<=\w) \*\* (?=\w)", "**", quoted)


@cache
def _tree(module: str) -> ast.Module:
    spec = importlib.util.find_spec(module)
    if spec is None or spec.origin is None:
        raise ValueError(f"there is no module {module}")
    return ast.parse(Path(spec.origin).read_text(encoding="utf-8"))


@dataclass(frozen=True)
class Definition:
    """The statement that makes a name, and what is said of it."""

    node: ast.stmt
    doc: str


def _definition(module: str, name: str) -> Definition:
    """Return where a name is made, through modules that only import it."""
    body = _tree(module).body
    for node, following in zip(body, [*body[1:], None], strict=True):
        if isinstance(node, ast.ClassDef | Function) and node.name == name:
            return Definition(node, ast.get_docstring(node) or "")
        if isinstance(node, ast.ImportFrom) and name in {alias.name for alias in node.names}:
            return _definition(str(node.module), name)
        if _assigned(node) == name:
            said = following.value if isinstance(following, ast.Expr) else None
            return Definition(node, str(said.value) if isinstance(said, ast.Constant) else "")
    raise ValueError(f"{module} has no {name}")


def _assigned(node: ast.stmt) -> str | None:
    if isinstance(node, ast.Assign):
        return _source(node.targets[0])
    return _source(node.target) if isinstance(node, ast.AnnAssign) else None


def _entry(name: str, found: Definition, level: int) -> str:
    node = found.node
    parts = [f"{'#' * level} `{name}`"]
    if isinstance(node, ast.ClassDef):
        parts += [markdown.code(_class_signature(node)), *_class_text(node)]
    elif isinstance(node, Function):
        if "pytest.fixture" not in _decorators(node):  # its arguments are other fixtures
            parts.append(markdown.code(_signature(node)))
        parts.append(markdown.docstring(found.doc))
    else:
        parts += [markdown.code(_short(node)), markdown.docstring(found.doc)]
    return "\n\n".join(part for part in parts if part)


def _class_text(node: ast.ClassDef) -> Iterator[str]:
    """Yield what a class is, and its public methods as a list."""
    yield markdown.docstring(ast.get_docstring(node) or "")
    methods = [
        method
        for method in node.body
        if isinstance(method, Function) and not method.name.startswith("_")
    ]
    if methods:
        yield "**Methods**"
        yield "\n\n".join(markdown.bullet(_method_text(method)) for method in methods)


def _method_text(method: Function) -> str:
    decorators = _decorators(method)
    text = f"`{_flat_signature(method, own='staticmethod' not in decorators)}`"
    if "abstractmethod" in decorators:
        text += " *(to be written)*"
    doc = markdown.docstring(ast.get_docstring(method) or "")
    return f"{text}\n\n{doc}" if doc else text


def _decorators(node: Function | ast.ClassDef) -> set[str]:
    return {_source(decorator).partition("(")[0] for decorator in node.decorator_list}


def _flat_signature(method: Function, *, own: bool) -> str:
    """Return how a method is called, on one line, without `self`."""
    result = f" -> {_source(method.returns)}" if method.returns is not None else ""
    if {"property", "cached_property", "functools.cached_property"} & _decorators(method):
        return method.name + result.replace(" -> ", ": ")
    return f"{method.name}({', '.join(_arguments(method.args, skip=own))}){result}"


def _signature(function: Function) -> str:
    result = f" -> {_source(function.returns)}" if function.returns is not None else ""
    managed = "@contextmanager\n" if {"contextmanager"} & _decorators(function) else ""
    return managed + _broken(f"def {function.name}", _arguments(function.args), result)


def _class_signature(node: ast.ClassDef) -> str:
    """Return how a class begins: what it derives from, and what it is made of."""
    bases = ", ".join(map(_source, node.bases))
    head = f"class {node.name}({bases})" if bases else f"class {node.name}"
    made = next(
        (each for each in node.body if isinstance(each, Function) and each.name == "__init__"),
        None,
    )
    decorators = [f"@{_source(each)}" for each in node.decorator_list]
    fields = [f"    {_short(each)}" for each in node.body if isinstance(each, ast.AnnAssign)]
    if made is not None:
        inner = _broken("def __init__", _arguments(made.args))
        return f"{head}:\n" + "\n".join(f"    {line}" for line in inner.splitlines())
    if fields and (decorators or "NamedTuple" in bases):
        return "\n".join([*decorators, f"{head}:", *fields])
    return head


def _short(node: ast.stmt) -> str:
    """Return an assignment, without its value where that is long."""
    text = _source(node)
    if len(text) <= markdown.WIDTH - 4:
        return text
    if isinstance(node, ast.AnnAssign):
        return f"{_source(node.target)}: {_source(node.annotation)}"
    return text.partition(" = ")[0] + " = ..."


def _arguments(arguments: ast.arguments, *, skip: bool = False) -> list[str]:
    """Return each argument with its type and default, `self` skipped."""
    plain = [*arguments.posonlyargs, *arguments.args]
    defaults = [None] * (len(plain) - len(arguments.defaults)) + list(arguments.defaults)
    parts = [_argument(*pair) for pair in zip(plain, defaults, strict=True)][1 if skip else 0 :]
    if arguments.vararg is not None:
        parts.append(f"*{_argument(arguments.vararg)}")
    elif arguments.kwonlyargs:
        parts.append("*")
    named = zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)
    parts += [_argument(*pair) for pair in named]
    if arguments.kwarg is not None:
        parts.append(f"**{_argument(arguments.kwarg)}")
    return parts


def _argument(argument: ast.arg, default: ast.expr | None = None) -> str:
    text = argument.arg
    if argument.annotation is not None:
        text += f": {_source(argument.annotation)}"
    if default is None:
        return text
    return f"{text} = {_source(default)}" if argument.annotation else f"{text}={default}"


def _broken(head: str, arguments: list[str], result: str = "") -> str:
    """Return a signature, an argument on each line where one line is too short for all."""
    line = f"{head}({', '.join(arguments)}){result}"
    if len(line) <= markdown.WIDTH:
        return line
    return f"{head}(\n" + "".join(f"    {each},\n" for each in arguments) + f"){result}"
