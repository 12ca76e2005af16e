"""`python -m musengine` is the command `musengine`."""

from __future__ import annotations

from musengine.cli.main import main

if __name__ == "__main__":
    raise SystemExit(main())
