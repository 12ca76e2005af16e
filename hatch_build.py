"""Compiles the reader of MIDI files into the wheel, where the machine has a C compiler."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

FOLDER = "musengine/builtin/midi"
SOURCE = f"engine/{FOLDER}/_scan.pyx"


class Compiled(BuildHookInterface):  # type: ignore[type-arg]
    """Adds the compiled module to a wheel; without a compiler the wheel does without it."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Build it beside its source for an editable installation, else into the wheel."""
        self.folder = tempfile.TemporaryDirectory()
        try:
            built = compiled(Path(self.root), Path(self.folder.name))
        # Compilers fail in as many ways as there are machines, some by SystemExit.
        except (Exception, SystemExit) as error:
            # A release without the module would be slower for all who have no compiler.
            if os.environ.get("MUSENGINE_REQUIRE_COMPILED") == "1":
                raise RuntimeError(f"the reader of MIDI files was not compiled: {error}") from error
            self.app.display_warning(f"MIDI files will be read more slowly: {error}")
            return
        if version == "editable":
            shutil.move(built, Path(self.root, "engine", FOLDER, built.name))
            return
        build_data["force_include"][str(built)] = f"{FOLDER}/{built.name}"
        build_data["pure_python"] = False
        build_data["infer_tag"] = True

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Remove what was built on the way."""
        self.folder.cleanup()


def compiled(root: Path, folder: Path) -> Path:
    """Return the path of the compiled module, somewhere in a folder."""
    from Cython.Build import cythonize
    from setuptools import Distribution, Extension

    extension = Extension(
        "musengine.builtin.midi._scan",
        [str(root / SOURCE)],
        extra_compile_args=[] if os.name == "nt" else ["-g0"],
    )
    modules = cythonize([extension], build_dir=str(folder / "c"), quiet=True)
    command = Distribution({"name": "musengine", "ext_modules": modules}).get_command_obj(
        "build_ext"
    )
    command.build_lib, command.build_temp = str(folder / "lib"), str(folder / "temp")
    command.ensure_finalized()
    command.run()
    return Path(command.get_outputs()[0])
