"""Run every ``bench_*.py``, or those named, and print the figures; exit 1 when one is over its limit."""

from __future__ import annotations

import importlib
import pathlib
import sys

from benchmarks.harness import Figure


def main(names: list[str]) -> int:
    """Each module offers ``figures()``, which yields :class:`~benchmarks.harness.Figure` as they are measured."""
    modules = names or sorted(path.stem for path in pathlib.Path(__file__).parent.glob("bench_*.py"))
    over: list[Figure] = []
    for module in modules:
        print(f"{module}:", flush=True)
        for figure in importlib.import_module(f"benchmarks.{module}").figures():
            verdict = "ok  " if figure else "OVER"
            print(
                f"  {verdict} {figure.name}: {figure.value:.3g} (at most {figure.limit:g}) {figure.detail}", flush=True
            )
            if not figure:
                over.append(figure)
    print(f"{len(over)} figures over their limit" if over else "every figure is within its limit")
    return 1 if over else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
