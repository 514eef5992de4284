"""``python -m fuzzing``: change good files without end, and see that no reader breaks a promise.

A process of its own does the reading, so that a crash is seen, and says which file it was. What broke a promise is
written to ``fuzzing/found``; mended, it belongs into ``fuzzing/corpus/<target>``, which the tests read again.
"""

from __future__ import annotations

import argparse
import hashlib
import multiprocessing
import random
import resource
import secrets
import signal
import sys
import tempfile
import time
import traceback
import warnings
from multiprocessing.connection import Connection
from pathlib import Path
from types import FrameType
from typing import Any

from fuzzing.targets import TARGETS, BrokenPromiseError, Target, prepare

Found = tuple[str, bytes]  # what was wrong, and with which file

FOUND = Path(__file__).parent / "found"
_SLOW = 5  # seconds of the processor that a file may take
_HUNG = 60  # seconds on the clock until a process that says nothing is ended
_MEMORY = 256 << 20  # bytes that a small file may cost
_SILENT = ("silent", 0, None)
_FAST = Path("/dev/shm")  # files in memory
_ROUND = 2.0  # seconds of each target's turn


def changed(target: Target, seeds: list[bytes], seed: str) -> bytes:
    """The file of this seed: always the same one."""
    rng = random.Random(seed)
    content = rng.choice(seeds)
    for _ in range(rng.choice([1, 1, 1, 2])):
        try:
            content = rng.choice(target.changes)(rng, content)
        except Exception:  # it does not have the parts any more that were to be changed
            content = target.changes[-1](rng, content)
    return content


def try_one(target: Target, path: Path, content: bytes, number: int) -> str | None:
    """What was wrong with how a file was read; None when nothing was."""
    path.write_bytes(content)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    signal.setitimer(signal.ITIMER_VIRTUAL, _SLOW)
    try:
        target.use(path, number)
    except BaseException:
        return traceback.format_exc()
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) << 10
    return f"it took {grown >> 20} MiB of memory" if grown > _MEMORY else None


def _too_slow(signal: int, frame: FrameType | None) -> None:
    raise BrokenPromiseError(f"it took more than {_SLOW} s")


def _work(pipe: Connection, seed: str, folder: Path) -> None:
    """Take turns of (target, first number, seconds); tell the number that begins, and what was found with its file."""
    signal.signal(signal.SIGVTALRM, _too_slow)
    warnings.simplefilter("ignore")
    seeds: dict[str, list[bytes]] = {}
    prepare(folder)
    while turn := pipe.recv():
        name, number, seconds = turn
        target = TARGETS[name]
        seeds[name] = seeds.get(name) or target.seeds()
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            pipe.send(("begins", number, None))
            content = changed(target, seeds[name], f"{seed}:{name}:{number}")
            problem = try_one(target, folder / target.file, content, number)
            if problem is not None:
                pipe.send(("found", number, (problem, content)))
            number += 1
        pipe.send(("ends", number, None))


class _Worker:
    """A process that reads files, and is started anew when it was lost."""

    def __init__(self, seed: str) -> None:
        self._seed = seed
        self._folder = tempfile.TemporaryDirectory(dir=_FAST if _FAST.is_dir() else None)
        self._start()

    def _start(self) -> None:
        self._pipe, theirs = multiprocessing.Pipe()
        told = (theirs, self._seed, Path(self._folder.name))
        self._process = multiprocessing.Process(target=_work, args=told, daemon=True)
        self._process.start()
        theirs.close()

    def turn(self, name: str, number: int, seconds: float) -> tuple[int, dict[int, Found]]:
        """Let it work for a while; answers the next number, and what was found by number."""
        found: dict[int, Found] = {}
        self._pipe.send((name, number, seconds))
        while True:
            try:
                kind, told, what = self._pipe.recv() if self._pipe.poll(_HUNG) else _SILENT
            except EOFError:
                kind = "gone"
            if kind in ("gone", "silent"):
                if kind == "silent":
                    self._process.kill()
                self._process.join()
                ended = f"it ended the process: {self._process.exitcode}"
                problem = ended if kind == "gone" else f"it hung for {_HUNG} s"
                found[number] = problem, (Path(self._folder.name) / TARGETS[name].file).read_bytes()
                self._start()
                return number + 1, found
            number = told
            if kind == "ends":
                return number, found
            if kind == "found":
                found[number] = what

    def stop(self) -> None:
        """End the process."""
        self._pipe.send(None)
        self._process.join()
        self._folder.cleanup()


def fuzz(seconds: float, names: list[str], seed: str, start: int = 0) -> int:
    """Fuzz these targets in turns; answers how many kinds of broken promises there were."""
    print(f"seed {seed}: {', '.join(names)}", flush=True)
    worker, numbers, kinds = _Worker(seed), dict.fromkeys(names, start), set[str]()
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        for name in names:
            turn = min(_ROUND, max(seconds / len(names) / 2, 0.1), max(end - time.monotonic(), 0.05))
            numbers[name], found = worker.turn(name, numbers[name], turn)
            for number, (problem, content) in found.items():
                kind = f"{name}: {_kind(problem)}"
                if kind not in kinds:
                    kinds.add(kind)
                    _report(name, seed, number, problem, content)
    worker.stop()
    print(", ".join(f"{name}: {number - start:,} files" for name, number in numbers.items()))
    print(f"{len(kinds)} kinds of broken promises" if kinds else "every promise was kept")
    return len(kinds)


def _kind(problem: str) -> str:
    """Where it happened and what, without what the file says."""
    lines = problem.strip().splitlines()
    places = [line for line in lines if line.startswith('  File "')]
    return f"{places[-1] if places else ''} {lines[-1].partition(':')[0]}"


def _report(name: str, seed: str, number: int, problem: str, content: bytes) -> None:
    FOUND.mkdir(exist_ok=True)
    path = FOUND / f"{name}-{hashlib.sha256(content).hexdigest()[:12]}"
    path.write_bytes(content)
    print(f"\n{name}, seed {seed}, number {number}: {path}\n{problem}", flush=True)


def main(arguments: list[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m fuzzing", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60, help="for all targets together")
    parser.add_argument("--target", action="append", choices=sorted(TARGETS), help="by default all of them")
    parser.add_argument("--seed", default=None, help="by default a new one, which is printed")
    parser.add_argument("--number", type=int, default=0, help="of the first file of each target")
    given: Any = parser.parse_args(arguments)
    seed = given.seed or secrets.token_hex(4)
    return 1 if fuzz(given.seconds, given.target or list(TARGETS), seed, given.number) else 0


if __name__ == "__main__":
    sys.exit(main())
