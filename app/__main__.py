"""`python -m app`."""

import sys

from .cli import main

LIGHT = {"-h", "--help", "config", "looks", "memories", "models"}
"""Words after which nothing is painted, so that the second start of `relaunch_once` would be lost time."""

if __name__ == "__main__":
    if not LIGHT & set(sys.argv[1:]):
        from pipelines.engines.launch import relaunch_once

        relaunch_once()
    sys.exit(main(sys.argv[1:]))
