"""Whether two layers were told the same, in meaning: what differs, and when it shows."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from ts_core.configuration._windows import WINDOW_SETTINGS, apart, apart_at, has_windows
from ts_core.contract.layers import KINDS
from ts_core.frameworks import ToldLayer

Settings = Mapping[str, Any]
Shape = tuple[int, ...]

INFERENCE, TRAINING, SOME_SIZES = "inference", "training only", "at some sizes"
KIND = "kind"  # the setting that says what a layer is
_RANKS = range(1, 8)
# Kinds that compute the same where they have the same settings, besides those of one family but for dimensions.
_ALIKE = frozenset(["batch_norm"])
_POINTWISE = {"kernel_size": 1, "stride": 1, "dilation": 1, "groups": 1}


class Difference(NamedTuple):
    """One setting, side by side.

    Attributes:
        setting: its canonical name; ``kind`` for what the layer is.
        ours: the value of the one.
        theirs: the value of the other.
        same: whether they mean the same.
        when: where they do not, when this shows.
        sizes: where that depends on the size of the input, the sizes at which it does.
    """

    setting: str
    ours: object
    theirs: object
    same: bool
    when: str = ""
    sizes: str = ""


def normal(layer: ToldLayer) -> tuple[str | None, Settings]:
    """The kind and the settings that say what a layer computes: a relu6 is a hardtanh from 0 to 6."""
    told = {name: one.value for name, one in layer.settings.items()}
    kind = KINDS.get(layer.kind or "")
    if kind is not None and kind.means is not None:
        return kind.means[0], {**told, **kind.means[1]}
    return layer.kind, told


def does_nothing(layer: ToldLayer) -> bool:
    """Whether a layer returns its input: an identity, a dropout of nothing, a padding by nothing."""
    told: dict[str, Any] = {name: one.value for name, one in layer.settings.items()}
    if layer.kind == "identity":
        return True
    kind = KINDS.get(layer.kind or "")
    if kind is None or ("p" not in told and "pads" not in told):
        return False
    if "dropout" in kind.family:
        return bool(told["p"] == 0)
    return kind.family.endswith("_pad") and not any(any(pair) for pair in told["pads"])


def moves_no_number(layer: ToldLayer) -> bool:
    """Whether a layer leaves all numbers as they are, and at most arranges them otherwise."""
    return layer.kind in ("flatten", "unflatten") or does_nothing(layer)


def needs_training(layer: ToldLayer) -> bool:
    """Whether the layer shows in training only."""
    kind = KINDS.get(layer.kind or "")
    return kind is not None and kind.training


def differences(one: ToldLayer, other: ToldLayer, shape: Shape | None = None) -> Iterator[Difference]:
    """What two layers were told, setting by setting.

    Args:
        one: of the source.
        other: of the target.
        shape: of the first input that both had when they ran, if they did.
    """
    kind, ours = normal(one)
    their_kind, theirs = normal(other)
    if kind is None or their_kind is None:
        return
    if does_nothing(one) and does_nothing(other):
        yield Difference(KIND, one.kind, other.kind, True)
        return
    points = _pointwise(kind, ours), _pointwise(their_kind, theirs)
    if kind != their_kind and points[0] is not None and points[1] is not None:
        kind, ours, theirs = "linear", points[0], points[1]  # a convolution with a window of 1 is one
    elif not _same_kind(kind, their_kind):
        training = all(needs_training(layer) or does_nothing(layer) for layer in (one, other))
        yield Difference(KIND, one.kind, other.kind, False, TRAINING if training else INFERENCE)
        return
    else:
        ours, theirs = _of_equal_dimensions(ours, theirs)
    names = [name for name in ours if name in theirs]
    for name in names:
        mine, yours = ours[name], theirs[name]
        if equal(mine, yours):
            yield Difference(name, mine, yours, True)
        else:
            yield _weighed(kind, name, ours, theirs, shape)


def equal(one: Any, other: Any) -> bool:
    """Whether two canonical values mean the same number, to six digits, or the same thing."""
    if one == other and type(one) is type(other):
        return True
    if isinstance(one, tuple) and isinstance(other, tuple):
        return len(one) == len(other) and all(map(equal, one, other))
    numbers = all(isinstance(value, int | float) and not isinstance(value, bool) for value in (one, other))
    return math.isclose(one, other, rel_tol=1e-6) if numbers else bool(one == other)


def _weighed(kind: str, name: str, ours: Settings, theirs: Settings, shape: Shape | None) -> Difference:
    """A difference of values: whether and when it is one of meaning."""
    mine, yours = ours[name], theirs[name]
    setting = KINDS[kind].settings.get(name) if kind in KINDS else None
    if setting is not None and setting.idle is not None and setting.idle(ours) and setting.idle(theirs):
        return Difference(name, mine, yours, True)
    training = (setting is not None and setting.training) or (kind in KINDS and KINDS[kind].training)
    when = TRAINING if training else INFERENCE
    if name in WINDOW_SETTINGS and has_windows(kind):
        return _of_windows(kind, name, ours, theirs, shape)
    if name in ("size", "scale_factor") and kind == "upsample":
        return _of_upsampling(name, ours, theirs, shape)
    if name == "recompute_scale_factor":
        return Difference(name, mine, yours, False, SOME_SIZES, "sizes that the factor makes no whole numbers of")
    ranks = [n for n in _RANKS if _axes(name, mine, n) is not None and _axes(name, yours, n) is not None]
    others = [n for n in ranks if _axes(name, mine, n) != _axes(name, yours, n)]
    if ranks and len(others) < len(ranks):
        same = not others or (shape is not None and len(shape) not in others)
        sizes = f"inputs of {', '.join(map(str, others))} axes" if others else ""
        return Difference(name, mine, yours, same, SOME_SIZES if others else "", sizes)
    return Difference(name, mine, yours, False, when)


def _of_windows(kind: str, name: str, ours: Settings, theirs: Settings, shape: Shape | None) -> Difference:
    """Pads, or how sizes are rounded: of consequence where windows come to lie elsewhere by it."""
    by_this = {**ours, name: theirs[name]}
    by_all = {**ours, **{other: theirs[other] for other in WINDOW_SETTINGS if other in theirs}}
    alone, together = apart(kind, ours, by_this), apart(kind, ours, by_all)
    same = not (alone.ever and together.ever)
    if not same and shape is not None and len(shape) > (axes := KINDS[kind].dimensions or 1):
        same = not apart_at(kind, ours, by_all, shape[-axes:])
    when = "" if not alone.ever or not together.ever else INFERENCE if together.always else SOME_SIZES
    return Difference(name, ours[name], theirs[name], same, when, together.sizes)


def _of_upsampling(name: str, ours: Settings, theirs: Settings, shape: Shape | None) -> Difference:
    """A size of the output, which may be told by a factor as well."""
    alike = all((told["size"] is None) == (ours["size"] is None) for told in (ours, theirs))
    same = shape is not None and len(shape) > 2 and _upsampled(ours, shape[2:]) == _upsampled(theirs, shape[2:])
    if alike:
        return Difference(name, ours[name], theirs[name], same, INFERENCE)
    return Difference(name, ours[name], theirs[name], same, SOME_SIZES, "sizes of which the two make different ones")


def _upsampled(told: Settings, sizes: Shape) -> tuple[int, ...]:
    """The sizes that an upsampling makes of those."""
    if told["size"] is not None:
        return told["size"] if isinstance(told["size"], tuple) else (told["size"],) * len(sizes)
    factor = told["scale_factor"]
    factors = factor if isinstance(factor, tuple) else (factor,) * len(sizes)
    return tuple(int(size * one) for size, one in zip(sizes, factors, strict=True))


def _axes(name: str, value: Any, rank: int) -> object:
    """Which axes of an input of so many axes a setting means; None when it names none, or there are too few."""
    if name == "normalized_shape":
        if isinstance(value, tuple):
            return len(value) if len(value) <= rank else None
        words = str(value).split()
        if words[:3] == ["every", "axis", "from"]:
            return rank - int(words[3]) if int(words[3]) < rank else None
        return int(words[2]) if words[:2] == ["the", "last"] else None
    if name not in ("dim", "start_dim", "end_dim") or isinstance(value, bool | str | tuple):
        return None
    if value is None:  # of torch's softmax: the first axis of 1 or 3, else the second
        return 0 if rank in (0, 1, 3) else 1
    axis = value + rank if value < 0 else value
    return axis if 0 <= axis < rank else None


def _same_kind(one: str, other: str) -> bool:
    if one == other:
        return True
    if one not in KINDS or other not in KINDS:
        return False
    ours, theirs = KINDS[one], KINDS[other]
    if ours.family != theirs.family:
        return False
    if ours.family in _ALIKE:
        return True
    return ours.dimensions is not None and theirs.dimensions is not None and not ours.training


def _pointwise(kind: str, told: Settings) -> Settings | None:
    """The settings of a linear layer that a convolution with a window of 1 is, or None where it is not."""
    if kind == "linear":
        return told
    if kind not in KINDS or KINDS[kind].family != "conv":
        return None
    plain = all(_every(told.get(name, one), one) for name, one in _POINTWISE.items())
    if not plain or not isinstance(told.get("pads"), tuple) or any(any(pair) for pair in told["pads"]):
        return None
    named = {"in_features": told["in_channels"], "out_features": told["out_channels"], "bias": told["bias"]}
    return {**named, "activation": None}


def _every(value: Any, wanted: object) -> bool:
    return set(value) == {wanted} if isinstance(value, tuple) else value == wanted


def _of_equal_dimensions(ours: Settings, theirs: Settings) -> tuple[Settings, Settings]:
    """Of layers of other numbers of axes, the one of more without axes on which it does nothing."""
    mine, yours = ours.get("kernel_size"), theirs.get("kernel_size")
    if not isinstance(mine, tuple) or not isinstance(yours, tuple) or len(mine) == len(yours):
        return ours, theirs
    if len(mine) < len(yours):
        return tuple(reversed(_of_equal_dimensions(theirs, ours)))  # type: ignore[return-value]
    idle = {"kernel_size": 1, "stride": 1, "dilation": 1, "pads": (0, 0), "output_padding": 0}
    given = {name: ours[name] for name in idle if isinstance(ours.get(name), tuple)}
    kept = [axis for axis in range(len(mine)) if any(value[axis] != idle[name] for name, value in given.items())]
    kept = kept if len(kept) == len(yours) else list(range(len(mine)))
    return {**ours, **{name: tuple(value[axis] for axis in kept) for name, value in given.items()}}, theirs


def shown(value: object) -> str:
    """A value as a reader has it."""
    if isinstance(value, tuple) and value and all(isinstance(pair, tuple) for pair in value):
        pairs: Sequence[Any] = value
        return str(pairs[0]) if len(set(pairs)) == 1 else str(value)
    return "-" if value is None else str(value)
