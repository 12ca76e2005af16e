"""Compiles what must be fast into the wheel, where the machine has a compiler for C and C++."""

from __future__ import annotations

import os
import runpy
import shutil
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

MODULES = {
    "musengine.builtin.midi._scan": "MIDI files will be read more slowly",
    "musengine.music._order": "notes will be sorted more slowly",
    "musengine.nn._recurrent": "recurrent models will learn and generate more slowly",
}
"""Each module, and what becomes of its users where it is not there."""


class Compiled(BuildHookInterface):  # type: ignore[type-arg]
    """Adds the compiled module to a wheel; without a compiler the wheel does without it."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Build it beside its source for an editable installation, else into the wheel."""
        self.folder = tempfile.TemporaryDirectory()
        for number, (module, without) in enumerate(MODULES.items()):
            try:
                built = compiled(module, Path(self.root), Path(self.folder.name, str(number)))
            # Compilers fail in as many ways as there are machines, some by SystemExit.
            except (Exception, SystemExit) as error:
                # A release without the modules would be slower for all who have no compiler.
                if os.environ.get("MUSENGINE_REQUIRE_COMPILED") == "1":
                    raise RuntimeError(f"{module} was not compiled: {error}") from error
                self.app.display_warning(f"{without}: {error}")
                continue
            folder = Path(*module.split(".")[:-1])
            if version == "editable":
                shutil.move(built, Path(self.root, "engine", folder, built.name))
                continue
            build_data["force_include"][str(built)] = f"{folder.as_posix()}/{built.name}"
            build_data["pure_python"] = False
            build_data["infer_tag"] = True

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Remove what was built on the way."""
        self.folder.cleanup()


def compiled(module: str, root: Path, folder: Path) -> Path:
    """Return the path of a compiled module, somewhere in a folder."""
    from Cython.Build import cythonize
    from setuptools import Distribution, Extension

    source = Path(root, "engine", *module.split(".")).with_suffix(".pyx")
    # By its path: the package, which is being built, cannot be imported.
    checksum = runpy.run_path(str(Path(root, "engine/musengine/utils/built.py")))["checksum"]
    extension = Extension(
        module,
        [str(source)],
        include_dirs=[str(source.parent)],
        define_macros=[("MADE_OF", str(checksum(source)))],
        extra_compile_args=["/std:c++17"] if os.name == "nt" else ["-g0"],
    )
    modules = cythonize([extension], build_dir=str(folder / "c"), quiet=True)
    if os.name != "nt" and modules[0].language == "c++":
        # A product and the sum it goes into are rounded once, where the processor can.
        modules[0].extra_compile_args += ["-std=c++17", "-O3", "-ffp-contract=fast", "-Wno-psabi"]
    command = Distribution({"name": "musengine", "ext_modules": modules}).get_command_obj(
        "build_ext"
    )
    command.build_lib, command.build_temp = str(folder / "lib"), str(folder / "temp")
    command.ensure_finalized()
    command.run()
    return Path(command.get_outputs()[0])
