"""The test matrices; the list of plugins is read from plugins/*/pyproject.toml."""

from __future__ import annotations

import ast
import os
import platform
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import nox

ROOT = Path(__file__).parent
PROJECT = nox.project.load_toml("pyproject.toml")
PLUGINS = {
    nox.project.load_toml(str(path))["project"]["name"]: str(path.parent.relative_to(ROOT))
    for path in sorted(ROOT.glob("plugins/*/pyproject.toml"))
}
PYTEST = ("pytest", "-c", "pyproject.toml", "--rootdir=.", "-q")
PARALLEL = (*PYTEST, "-n", "auto")
"""The same in as many processes as there are processors, each with one thread of PyTorch's."""
ONE_THREAD = {"OMP_NUM_THREADS": "1"}
TORCHLESS = ("3.10", "3.12", "3.13")
"""Python versions that run what needs no torch; the version nox runs under has the rest."""
BUILT = ROOT / ".nox" / "dist"
"""Where the session `build` leaves a wheel and an sdist of every distribution."""

nox.needs_version = ">=2025.5.1"
nox.options.error_on_external_run = True
nox.options.default_venv_backend = "virtualenv"
nox.options.reuse_venv = "no"
nox.options.sessions = [
    *("lint", "types", "core", "plugin", "together", "avx2", "slow", "python"),
    *("minimum", "wheels", "outoftree", "downstream", "browser", "docs", "readme"),
]


# Else each process compiles the tests that it imports again: ten seconds, twice in most sessions.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)


def offer_all_pyenv_versions() -> None:
    """Let pyenv's shims find every Python it holds, the one nox runs under first."""
    if shutil.which("pyenv") is None or "PYENV_VERSION" in os.environ:
        return
    listed = subprocess.run(["pyenv", "versions", "--bare"], capture_output=True, text=True)
    versions = listed.stdout.split()
    versions.sort(key=lambda version: version != platform.python_version())
    os.environ["PYENV_VERSION"] = ":".join(versions)


offer_all_pyenv_versions()


def group(name: str) -> list[str]:
    return nox.project.dependency_groups(PROJECT, name)


def share_torch(session: nox.Session) -> None:
    """Let the session's environment see one PyTorch that all sessions share.

    It is installed once, into a folder of its own: a gigabyte for each environment would be
    most of the time and disk that a run of all sessions takes.
    """
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    shared = ROOT / ".nox" / f"shared-torch-{version}"
    if not (shared / "complete").is_file():
        shutil.rmtree(shared, ignore_errors=True)
        session.install("--target", str(shared), "torch>=2.4", silent=True)
        (shared / "complete").touch()
    code = "import sysconfig; print(sysconfig.get_paths()['purelib'])"
    site = session.run_install("python", "-c", code, silent=True)
    assert site is not None
    Path(site.strip(), "shared_torch.pth").write_text(f"{shared}\n", encoding="utf-8")


def install(session: nox.Session, *what: str) -> None:
    """Install, with the PyTorch that all sessions share.

    What a library holds is compiled when it is imported: to compile all of it takes as long again
    as to install it, and most is never imported.
    """
    share_torch(session)
    session.install("--no-compile", *what)


@nox.session
def build(session: nox.Session) -> None:
    """A wheel and an sdist of every distribution, the wheel made from the sdist.

    Built once for all sessions of a run, which install these wheels: each that built them for
    itself would compile the reader of MIDI files again. Whether a build by itself fetches what
    it needs is seen by `outoftree` and `readme`.
    """
    session.install(*group("build"), *PROJECT["build-system"]["requires"])
    shutil.rmtree(BUILT, ignore_errors=True)
    for folder in (".", *PLUGINS.values()):
        session.run_install(
            *("python", "-m", "build", "--no-isolation", "--outdir", str(BUILT), folder),
            silent=True,
        )


def wheel(name: str, extra: str = "") -> str:
    """Return the built wheel of a distribution, as pip takes it."""
    (path,) = BUILT.glob(f"{name.replace('-', '_')}-*.whl")
    return f"{path}{extra}"


@nox.session
def lint(session: nox.Session) -> None:
    """Style, who may import whom, and whether the workflows are what GitHub takes."""
    session.install(*group("lint"))
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    sources = os.pathsep.join(["engine", *PLUGINS.values()])
    session.run("lint-imports", env={"PYTHONPATH": sources})
    workflows = map(str, Path(".github/workflows").glob("*.yml"))
    session.run("check-jsonschema", "--builtin-schema", "vendor.github-workflows", *workflows)
    if "CI" in os.environ:
        # The scripts of pages; who works on them needs Node for nothing else.
        config = f"{PLUGINS['musengine-media']}/jsconfig.json"
        session.run("npx", "--yes", "-p", "typescript@5.9", "tsc", "-p", config, external=True)


@nox.session(requires=["build"])
def types(session: nox.Session) -> None:
    install_everything(session, *group("types"))
    stranger = "tests/outoftree/markov"
    # What is checked is the sources; the wheels bring the libraries.
    sources = {"MYPYPATH": os.pathsep.join(["engine", *PLUGINS.values(), stranger])}
    session.run("mypy", "engine/musengine", env=sources)
    for folder in (*PLUGINS.values(), stranger):
        session.run("mypy", *packages(folder), env=sources)


def packages(folder: str) -> list[str]:
    return [str(path) for path in sorted(Path(folder).glob("musengine_*"))]


@nox.session(requires=["build"])
def core(session: nox.Session) -> None:
    """The core without any plugin and without any extra."""
    install(session, *group("test"), wheel("musengine"))
    session.run(*PARALLEL, "-m", "not slow", "tests", *session.posargs, env=ONE_THREAD)


@nox.session(requires=["build"])
@nox.parametrize("name", list(PLUGINS))
def plugin(session: nox.Session, name: str) -> None:
    """Each plugin alone with the core, with those it depends on and with its own extras."""
    wheels = map(wheel, with_needs(name))
    install(session, *group("test"), wheel("musengine"), *wheels, *optional(name))
    session.run(*PYTEST, "-m", "not slow", f"{PLUGINS[name]}/tests", *session.posargs)


def with_needs(name: str) -> set[str]:
    """Return a plugin and the plugins of this repository that it depends on."""
    needed = {re.split(r"[^\w-]", each)[0] for each in project(name)["dependencies"]}
    return {name}.union(*map(with_needs, needed & PLUGINS.keys()))


@nox.session(requires=["build"])
def together(session: nox.Session) -> None:
    """Everything installed, all tests but the slow ones; how much of the code they reach.

    With arguments, `-- -k midi`, only those tests run, and nothing is measured.
    """
    install_everything(session, *group("test"), *group("coverage"))
    what = ("-m", "not slow", "tests", "plugins", *(session.posargs or coverage()))
    session.run(*PARALLEL, *what, env=ONE_THREAD)


def coverage() -> list[str]:
    """Return the options that measure coverage; the least that passes is in pyproject.toml."""
    plugins = [Path(each).name for folder in PLUGINS.values() for each in packages(folder)]
    return [f"--cov={package}" for package in ("musengine", *plugins)]


@nox.session(requires=["build"])
def avx2(session: nox.Session) -> None:
    """Recurrent layers and mixed precision on a processor that has AVX2 and nothing newer."""
    install_everything(session, *group("test"))
    older = {"ONEDNN_MAX_CPU_ISA": "AVX2", "ATEN_CPU_CAPABILITY": "avx2"}
    chosen = ("-m", "not slow", "-k", "test_recurrent or precision or bfloat16")
    session.run(*PYTEST, *chosen, "tests", "plugins", *session.posargs, env=older)


@nox.session(requires=["build"])
def slow(session: nox.Session) -> None:
    """The slow tests: real collections as a whole, kills, memory, learning, the docs' tutorials.

    Tests that draw examples draw all they ask for, in the other sessions a quarter.
    `MUSENGINE_ALL_FILES=1` lets tests read all of what they take a sample of.
    """
    install_everything(session, *group("test"))
    apart = "--ignore=tests/outoftree"
    chosen = ("-m", "slow or hypothesis", "--durations=0")
    what = (*chosen, "tests", "plugins", apart, *session.posargs)
    more = {**ONE_THREAD, "MUSENGINE_EXAMPLES": "1"}
    session.run(*PARALLEL, "--dist", "worksteal", *what, env=more)


def install_everything(session: nox.Session, *what: str) -> None:
    install(session, *what, wheel("musengine", "[all]"), *map(wheel, PLUGINS))


@nox.session(python=list(TORCHLESS), requires=["build"])
def python(session: nox.Session) -> None:
    """What needs no torch, on the other supported versions of Python."""
    plugins = without_torch()
    extras = [library for name in plugins for library in optional(name)]
    session.install("--no-compile", *group("test"), *libraries("musengine", *plugins), *extras)
    # The core's wheel holds a module compiled for one version of Python.
    session.install("--no-deps", ".", *map(wheel, plugins))
    tests = tests_without_torch("tests/unit", *(f"{PLUGINS[name]}/tests" for name in plugins))
    session.run(*PARALLEL, "-m", "not slow", *tests, *session.posargs)


def project(name: str) -> dict[str, Any]:
    """Return what the pyproject.toml of a distribution of this repository says of it."""
    found = nox.project.load_toml(f"{PLUGINS[name]}/pyproject.toml") if name in PLUGINS else PROJECT
    return found["project"]


def libraries(*names: str) -> list[str]:
    """Return what distributions of this repository need that is not of it, torch apart."""
    needed = (each for name in names for each in project(name)["dependencies"])
    return [each for each in dict.fromkeys(needed) if not re.match(r"torch\b|musengine\b", each)]


def optional(name: str) -> list[str]:
    """Return what the extras of a distribution name."""
    extras = project(name).get("optional-dependencies", {}).values()
    return [each for extra in extras for each in extra if not each.startswith("musengine")]


def without_torch() -> list[str]:
    """Return the plugins that do not depend on torch."""
    return [
        name
        for name in PLUGINS
        if not any(each.startswith("torch") for each in project(name)["dependencies"])
    ]


def tests_without_torch(*folders: str) -> list[str]:
    """Return the files of tests none of whose imports needs torch."""
    needs_torch = re.compile(
        r"torch\b|musengine\.(?:nn|training|generation|runs|cli|"
        r"data\.batching|evaluation\.likelihood|interfaces\.(?:model|loss|sampler|contracts\.tensors|short_forms\.sequence_model)|"
        r"builtin\.(?:callbacks|losses|samplers|models|optimizers|schedules))\b"
    )
    homes = {name: module for module, name in imports(Path("engine/musengine/api.py"))}
    return [
        str(file)
        for folder in folders
        for file in sorted(Path(folder).glob("test_*.py"))
        if not any(
            # A name that a test makes up, as an earlier one of today's, has no home.
            needs_torch.match(homes.get(name, "") if module == "musengine.api" else module)
            for module, name in imports(file)
        )
    ]


def imports(file: Path) -> list[tuple[str, str]]:
    """Return the module and the name of all that a file imports, in functions too."""
    found = []
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom):
            found += [(node.module or "", alias.name) for alias in node.names]
        elif isinstance(node, ast.Import):
            found += [(alias.name, "") for alias in node.names]
    return found


@nox.session(requires=["build"])
def minimum(session: nox.Session) -> None:
    """The oldest version of every dependency that is allowed, torch apart.

    PyTorch is the one that all sessions share; where another build of it can be had, add
    `-- "torch==2.4.*"` to install the oldest.
    """
    extras = [library for name in PLUGINS for library in optional(name)]
    oldest = [
        pinned
        for requirement in (*libraries("musengine", *PLUGINS), *extras)
        if (pinned := at_least(requirement)) is not None
    ]
    install(session, *group("test"), *oldest, *session.posargs)
    session.install("--no-deps", wheel("musengine"), *map(wheel, PLUGINS))
    session.run(*PARALLEL, "-m", "not slow", "tests", "plugins", env=ONE_THREAD)


def at_least(requirement: str) -> str | None:
    """Return `name==version` for `name>=version`, its marker kept; None for what has no bound."""
    match = re.match(r"([\w-]+)>=([\w.]+)[^;]*(;.*)?$", requirement)
    if match is None:
        return None
    return f"{match[1]}=={match[2]}{match[3] or ''}"


@nox.session(requires=["build"])
def wheels(session: nox.Session) -> None:
    """The built wheels and nothing else, run from another folder."""
    install(session, wheel("musengine"), *map(wheel, PLUGINS))
    session.run("python", "tests/smoke.py")


@nox.session(requires=["build"])
def outoftree(session: nox.Session) -> None:
    """A stranger's plugin, built and installed beside the core alone."""
    install(session, *group("test"), wheel("musengine"))
    session.run(*PYTEST, "-m", "slow", "tests/outoftree", *session.posargs)


@nox.session(requires=["build"])
def downstream(session: nox.Session) -> None:
    """Plugins of any repository with this core: their own tests, and the contract. `-- PATH ...`.

    Without a path these are a stranger's plugin of this repository, and a new one as
    `musengine new-plugin` writes it.
    """
    install(session, *group("test"), wheel("musengine"))
    folders = [Path(path).resolve() for path in session.posargs]
    for folder in folders or (ROOT / "tests/outoftree/markov", scaffold(session)):
        try_plugin(session, folder)


def scaffold(session: nox.Session) -> Path:
    """Return a plugin's folder as an author begins with; what writes it is not kept installed."""
    new = Path(session.create_tmp()).resolve() / "musengine-fresh"
    shutil.rmtree(new, ignore_errors=True)
    session.install(wheel("musengine-tools"))
    session.run("musengine", "new-plugin", "fresh", "--out", str(new))
    session.run("pip", "uninstall", "--yes", "--quiet", "musengine-tools")
    return new


def try_plugin(session: nox.Session, folder: Path) -> None:
    """Build a plugin's wheel and try it; its warnings of deprecated names of ours are errors."""
    built = Path(session.create_tmp()).resolve() / "wheels"
    shutil.rmtree(built, ignore_errors=True)
    session.run("pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(built), str(folder))
    (made,) = built.glob("*.whl")
    said = nox.project.load_toml(str(folder / "pyproject.toml"))
    extras = {"test", "tests"} & said["project"].get("optional-dependencies", {}).keys()
    groups = {"test", "tests"} & said.get("dependency-groups", {}).keys()
    needed = [each for name in groups for each in nox.project.dependency_groups(said, name)]
    chosen = f"[{','.join(sorted(extras))}]" if extras else ""
    session.install(f"{made}{chosen}", *needed, "--find-links", str(BUILT))
    with session.chdir(folder):
        session.run(
            *("pytest", "-q", "-p", "no:cacheprovider"),
            *("-W", "error:musengine.api:DeprecationWarning"),
            env=ONE_THREAD,
            success_codes=[0, 5],  # 5: it has no tests
        )
    session.run("musengine", "check-plugin", made.name.split("-")[0].replace("_", "-"))


@nox.session(requires=["build"])
def browser(session: nox.Session) -> None:
    """Pages in a real browser: the one that MUSENGINE_BROWSER names, else Chromium."""
    names = ("chromium", "chromium-browser", "google-chrome")
    there = [path for name in names if (path := shutil.which(name))]
    found = os.environ.get("MUSENGINE_BROWSER") or next(iter(there), None)
    if found is None and "CI" in os.environ:
        session.error("no browser; install chromium, or name one with MUSENGINE_BROWSER")
    if found is None:
        session.skip("no browser; install chromium, or name one with MUSENGINE_BROWSER")
    media = "musengine-media"
    install(session, *group("test"), *group("browser"), wheel("musengine"), wheel(media))
    tests = f"{PLUGINS[media]}/tests/test_in_browser.py"
    session.run(*PYTEST, tests, *session.posargs, env={"MUSENGINE_BROWSER": str(found)})


@nox.session(requires=["build"])
def docs(session: nox.Session) -> None:
    """What the pages say of the code is up to date; rendered, with warnings as errors."""
    install(session, *group("docs"), wheel("musengine"), *map(wheel, PLUGINS))
    session.run("python", "docs/generate.py", "--check")
    session.run(
        "sphinx-build", "-W", "--keep-going", "-q", "-b", "html", "docs", "docs/_build/html"
    )


@nox.session(venv_backend="none")
def readme(session: nox.Session) -> None:
    """The README's first command, exactly as written, in a clean clone."""
    match = re.search(
        r"<!-- quickstart -->\s*```sh\n(.*?)```", Path("README.md").read_text("utf-8"), re.DOTALL
    )
    assert match is not None, "README.md has no quickstart command"
    clone = Path(session.create_tmp()) / "clone"
    shutil.rmtree(clone, ignore_errors=True)
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(clone)], check=True)
    environment = {**os.environ, "MUSENGINE_CACHE": str(clone / "cache")}
    subprocess.run(["bash", "-euc", match[1]], cwd=clone, env=environment, check=True)
    pieces = sorted((clone / "runs" / "quickstart" / "samples").glob("*.mid"))
    assert len(pieces) == 4, f"expected 4 pieces, found {pieces}"
    session.log("made " + ", ".join(piece.name for piece in pieces))


@nox.session(venv_backend="none")
def bump(session: nox.Session) -> None:
    """One version for all distributions, and its heading in the changelog: `-- 0.2.0`."""
    session.run(sys.executable, ".ci/bump.py", *session.posargs, external=True)
