"""``python -m ts_core``: the command line."""

from ts_core.cli import main

main()
