"""From what a search found to findings: paths, the code in between, hints."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping

import numpy as np

from ts_core.location import _backward
from ts_core.location._code import lines_between
from ts_core.location._hints import backward_hints, hints_for
from ts_core.location._judging import Found, Judged
from ts_core.location._nouns import BACKWARD, BETWEEN, FORWARD, Finding, Hint, Row
from ts_core.location._runs import Run, within
from ts_core.running import TracedCall

_UNIT = float(np.finfo(np.float32).eps)


def forward_finding(found: Found, runs: tuple[Run, Run], pairs: Mapping[int, int]) -> Finding:
    """A finding of the forward search; `pairs` lead from calls of the target to those of the source."""
    mine, theirs = found.pair
    before = _last_before(found, runs, pairs) if found.where == BETWEEN else None
    ends = [None if found.output and not call.path else call for call in found.pair]
    if found.output and before is not None:  # a container: what it does with what its last part returns
        ends = [None, None]
    lines = [
        lines_between(None if before is None else before[i], ends[i] if found.where == BETWEEN else call)
        for i, call in enumerate(found.pair)
    ]
    return Finding(
        FORWARD,
        found.where,
        mine.path,
        theirs.path,
        after=() if before is None else (before[0].path, before[1].path),
        call=theirs.nth,
        output=found.output,
        metrics=found.metrics,
        noise=found.noise,
        ratio=found.metrics.ratio(found.noise, _UNIT),
        lines=(lines[0], lines[1]),
        hints=tuple(hints_for(found, runs, before)),
    )


def backward_finding(found: _backward.Found, runs: tuple[Run, Run]) -> Finding:
    """A finding of the backward search."""
    mine, theirs = found.pair
    lines = [lines_between(None, call) for call in found.pair]
    return Finding(
        BACKWARD,
        found.where,
        mine.path,
        theirs.path,
        call=theirs.nth,
        metrics=found.metrics,
        noise=found.noise,
        ratio=found.metrics.ratio(found.noise, _UNIT),
        lines=(lines[0], lines[1]),
        hints=tuple(backward_hints(found, runs)),
    )


def row(each: Judged) -> Row:
    """A row of the report."""
    mine, theirs = each.pair
    return Row(mine.path, theirs.path, theirs.nth, each.inputs, each.outputs, each.noise, each.verdict)


def _last_before(found: Found, runs: tuple[Run, Run], pairs: Mapping[int, int]) -> tuple[TracedCall, TracedCall] | None:
    """The pair that ended last before the place of a finding."""
    calls = runs[1].calls
    at = found.pair[1]
    last = None
    for number in sorted(pairs):
        call = calls[number]
        if number == 0 or number == at.number or within(at, call, calls):
            continue
        inside = within(call, at, calls)
        if (number > at.number and not (found.output and inside)) or (inside and not found.output):
            continue
        if last is not None and within(call, calls[last], calls):
            continue  # the outer one ended later
        last = number
    return None if last is None else (runs[0].calls[pairs[last]], calls[last])


def mirrored(finding: Finding) -> Finding:
    """The finding of a search in which source and target were exchanged."""
    return dataclasses.replace(
        finding,
        source=finding.target,
        target=finding.source,
        after=finding.after[::-1],
        lines=finding.lines[::-1],
        tensors=tuple((a, b) for b, a in finding.tensors),
        hints=tuple(_mirrored(hint) for hint in finding.hints),
    )


def _mirrored(hint: Hint) -> Hint:
    other = {"source": "target", "target": "source"}
    text = re.sub(r"\b(source|target)\b", lambda found: other[found[0]], hint.text)
    return dataclasses.replace(hint, text=text, source_value=hint.target_value, target_value=hint.source_value)


def mirrored_row(one: Row) -> Row:
    """The same of a row."""
    return dataclasses.replace(one, source=one.target, target=one.source)
