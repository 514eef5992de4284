"""What the canonical layers compute, in NumPy, so that a plug-in's roles and layouts can be proved by numbers.

A wrong role or layout rarely shows in a shape: a square matrix that is transposed, a mean taken for a variance, gates
in another order. The suite therefore fills a real layer through its rules with random arrays and compares what it
computes with the definition here. All of it in float64, channels before space, in inference mode.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]
Roles = Mapping[str, Array]

EPSILON = 1e-5  # what norms add to the variance; a plug-in's layer cases are made with it
WIDTH = 4  # features, channels and units of every case: equal on all sides, so that no shape betrays a mistake


@dataclass(frozen=True, slots=True)
class Definition:
    """What a canonical kind of layer computes, and how the suite tries it.

    Attributes:
        settings: how a plug-in's layer of this kind has to be made for the suite, in words.
        inputs: the shapes of the inputs, channels before space.
        compute: canonical role → array in canonical layout, and the inputs → the output, or several.
        integers: whether the input is indices rather than numbers.
    """

    settings: str
    inputs: tuple[tuple[int, ...], ...]
    compute: Callable[..., Any]
    integers: bool = False


def linear(roles: Roles, x: Array) -> Array:
    """`weight` (out, in), `bias` (out,)."""
    return x @ roles["weight"].T + roles.get("bias", 0.0)


def bilinear(roles: Roles, a: Array, b: Array) -> Array:
    """`weight` (out, in1, in2), `bias` (out,)."""
    return np.asarray(np.einsum("ni,oij,nj->no", a, roles["weight"], b) + roles.get("bias", 0.0))


def conv(roles: Roles, x: Array) -> Array:
    """Cross-correlation; `weight` (out, in / groups, *window), `bias` (out,). No padding, stride 1."""
    weight = roles["weight"]
    if x.shape[1] > weight.shape[1]:
        return _grouped(conv, roles, x, x.shape[1] // weight.shape[1])
    space = tuple(range(2, x.ndim))
    windows = np.lib.stride_tricks.sliding_window_view(x, weight.shape[2:], axis=space)  # type: ignore[call-overload]  # NumPy 1.26 types one axis only
    over = tuple(range(x.ndim, windows.ndim))
    y = np.tensordot(windows, weight, axes=((1, *over), (1, *space)))
    return np.moveaxis(y, -1, 1) + _per_channel(roles.get("bias", np.zeros(weight.shape[0])), x.ndim)


def conv_transpose(roles: Roles, x: Array) -> Array:
    """The adjoint of a convolution; `weight` (in, out / groups, *window), `bias` (out,). No padding, stride 1."""
    weight = roles["weight"]
    if "bias" in roles and len(roles["bias"]) > weight.shape[1]:
        return _grouped(conv_transpose, roles, x, len(roles["bias"]) // weight.shape[1])
    space = tuple(range(2, x.ndim))
    padded = np.pad(x, [(0, 0), (0, 0), *((size - 1, size - 1) for size in weight.shape[2:])])
    mirrored = np.flip(weight, space).swapaxes(0, 1)
    return conv({**roles, "weight": mirrored}, padded)


def _grouped(compute: Callable[[Roles, Array], Array], roles: Roles, x: Array, groups: int) -> Array:
    """Each group of channels by itself, with its part of each array."""
    parts = {role: np.split(array, groups) for role, array in roles.items()}
    channels = enumerate(np.split(x, groups, axis=1))
    return np.concatenate([compute({role: parts[role][n] for role in parts}, part) for n, part in channels], axis=1)


def batch_norm(roles: Roles, x: Array) -> Array:
    """`scale`, `bias`, `mean`, `variance`, each (channels,)."""
    mean, variance, scale, bias = (_per_channel(roles[role], x.ndim) for role in ("mean", "variance", "scale", "bias"))
    return np.asarray((x - mean) / np.sqrt(variance + EPSILON) * scale + bias)


def layer_norm(roles: Roles, x: Array) -> Array:
    """`scale`, `bias` (features,), over the last axis."""
    return np.asarray(_standardised(x, (-1,)) * roles["scale"] + roles["bias"])


def rms_norm(roles: Roles, x: Array) -> Array:
    """`scale` (features,), over the last axis."""
    return np.asarray(x / np.sqrt(np.mean(x * x, axis=-1, keepdims=True) + EPSILON) * roles["scale"])


def group_norm(roles: Roles, x: Array) -> Array:
    """`scale`, `bias` (channels,), over two groups of channels and space."""
    grouped = x.reshape(x.shape[0], 2, -1)
    return np.asarray(
        _standardised(grouped, (-1,)).reshape(x.shape) * _per_channel(roles["scale"], x.ndim)
        + _per_channel(roles["bias"], x.ndim)
    )


def instance_norm(roles: Roles, x: Array) -> Array:
    """`scale`, `bias` (channels,), over space."""
    return np.asarray(
        _standardised(x, tuple(range(2, x.ndim))) * _per_channel(roles["scale"], x.ndim)
        + _per_channel(roles["bias"], x.ndim)
    )


def embedding(roles: Roles, indices: Array) -> Array:
    """`weight` (entries, features)."""
    return np.asarray(roles["weight"][indices])


def prelu(roles: Roles, x: Array) -> Array:
    """`slope` (channels,), or one for all: the factor below zero."""
    return np.where(x > 0, x, x * _per_channel(roles["slope"], x.ndim))


def multi_head_attention(roles: Roles, x: Array) -> Array:
    """Self-attention of two heads. `q_proj.weight` (heads · size, in), `q_proj.bias`, and so for k, v and out.

    `in_proj.weight` (3 · heads · size, in) and `in_proj.bias` hold those of q, k and v one after another.
    """
    whole = {role: np.split(roles[f"in_proj.{role}"], 3) for role in ("weight", "bias") if f"in_proj.{role}" in roles}

    def project(part: str, position: int) -> Array:
        weight, bias = (
            roles[f"{part}.{role}"] if f"{part}.{role}" in roles else whole[role][position]
            for role in ("weight", "bias")
        )
        projected = x @ weight.T + bias
        return projected.reshape(*projected.shape[:-1], 2, -1).swapaxes(-2, -3)

    q, k, v = project("q_proj", 0), project("k_proj", 1), project("v_proj", 2)
    scores = np.exp(q @ k.swapaxes(-1, -2) / np.sqrt(q.shape[-1]))
    mixed = (scores / scores.sum(axis=-1, keepdims=True) @ v).swapaxes(-2, -3)
    joined = mixed.reshape(*x.shape[:-1], -1)
    return np.asarray(joined @ roles["out_proj.weight"].T + roles["out_proj.bias"])


def lstm_cell(roles: Roles, x: Array, hidden: Array, cell: Array) -> tuple[Array, Array]:
    """`weight_ih` (4·units, features), `weight_hh` (4·units, units), biases (4·units,); gates in order i, f, g, o.

    Or the parts: `weight_ih.i` (units, features) and so on.
    """
    for whole in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"):
        if f"{whole}.i" in roles:
            roles = {**roles, whole: np.concatenate([roles[f"{whole}.{gate}"] for gate in "ifgo"])}
    gates = _affine(roles, "ih", x) + _affine(roles, "hh", hidden)
    i, f, g, o = np.split(gates, 4, axis=-1)
    cell = _sigmoid(f) * cell + _sigmoid(i) * np.tanh(g)
    return _sigmoid(o) * np.tanh(cell), cell


def gru_cell(roles: Roles, x: Array, hidden: Array) -> Array:
    """`weight_ih` (3·units, features), `weight_hh` (3·units, units), biases (3·units,); gates in the order r, z, n."""
    from_x, from_h = _affine(roles, "ih", x), _affine(roles, "hh", hidden)
    (xr, xz, xn), (hr, hz, hn) = np.split(from_x, 3, axis=-1), np.split(from_h, 3, axis=-1)
    z = _sigmoid(xz + hz)
    return np.asarray((1 - z) * np.tanh(xn + _sigmoid(xr + hr) * hn) + z * hidden)


def rnn_cell(roles: Roles, x: Array, hidden: Array) -> Array:
    """`weight_ih` (units, features), `weight_hh` (units, units), biases (units,)."""
    return np.tanh(_affine(roles, "ih", x) + _affine(roles, "hh", hidden))


def unrolled(cell: Callable[..., Any], state: int) -> Callable[[Roles, Array], Array]:
    """Layers of a cell over time, from states of zeros, in one direction or both.

    Roles are those of the cell with `_l0` behind them, and so for each further layer; `_l0_reverse` runs backwards.
    """

    def over_time(roles: Roles, x: Array) -> Array:
        carried: tuple[Array, ...] = (np.zeros((x.shape[0], roles["weight_hh"].shape[1])),) * state
        outputs = []
        for time in range(x.shape[1]):
            answer = cell(roles, x[:, time], *carried)
            carried = answer if isinstance(answer, tuple) else (answer,)
            outputs.append(carried[0])
        return np.stack(outputs, axis=1)

    def compute(roles: Roles, x: Array) -> Array:
        for number in range(max(1, sum(role.startswith("weight_ih_l") for role in roles))):
            both = {end: _behind(roles, f"_l{number}{end}") for end in ("", "_reverse")}
            if number and not both[""]:
                break
            one_way = over_time(both[""], x)
            other_way = [over_time(both["_reverse"], x[:, ::-1])[:, ::-1]] if both["_reverse"] else []
            x = np.concatenate([one_way, *other_way], axis=-1)
        return x

    return compute


def _behind(roles: Roles, end: str) -> Roles:
    """The roles of a cell: those with this end, without it."""
    return {role.removesuffix(end): array for role, array in roles.items() if role.endswith(end)}


def _affine(roles: Roles, side: str, x: Array) -> Array:
    return np.asarray(x @ roles[f"weight_{side}"].T + roles.get(f"bias_{side}", 0.0))


def _per_channel(values: Array, ndim: int) -> Array:
    return np.asarray(values).reshape(-1, *[1] * (ndim - 2))


def _standardised(x: Array, axes: tuple[int, ...]) -> Array:
    centred = x - x.mean(axis=axes, keepdims=True)
    return np.asarray(centred / np.sqrt(np.mean(centred * centred, axis=axes, keepdims=True) + EPSILON))


def _sigmoid(x: Array) -> Array:
    return np.asarray(1 / (1 + np.exp(-x)))


def _image(dimensions: int) -> tuple[int, ...]:
    return (3, WIDTH, *range(5, 5 + dimensions))


_NORM = f"{WIDTH} channels, epsilon {EPSILON}"
DEFINITIONS: dict[str, Definition] = {
    "linear": Definition(f"{WIDTH} to {WIDTH} features, with bias", ((3, WIDTH),), linear),
    "bilinear": Definition(f"{WIDTH} and {WIDTH} to {WIDTH} features, with bias", ((3, WIDTH), (3, WIDTH)), bilinear),
    "embedding": Definition(f"{WIDTH} entries of {WIDTH} features", ((3, 5),), embedding, integers=True),
    "prelu": Definition(f"{WIDTH} channels", (_image(2),), prelu),
    "multi_head_attention": Definition(
        f"2 heads, {WIDTH} features, with biases; self-attention, the batch before the sequence",
        ((3, 5, WIDTH),),
        multi_head_attention,
    ),
    "layer_norm": Definition(f"{WIDTH} features, epsilon {EPSILON}", ((3, WIDTH),), layer_norm),
    "rms_norm": Definition(f"{WIDTH} features, epsilon {EPSILON}", ((3, WIDTH),), rms_norm),
    "group_norm": Definition(f"2 groups of {_NORM}", (_image(2),), group_norm),
    "batch_norm1d": Definition(_NORM, ((3, WIDTH),), batch_norm),
    "rnn_cell": Definition(f"{WIDTH} features, {WIDTH} units", ((3, WIDTH),) * 2, rnn_cell),
    "gru_cell": Definition(f"{WIDTH} features, {WIDTH} units", ((3, WIDTH),) * 2, gru_cell),
    "lstm_cell": Definition(f"{WIDTH} features, {WIDTH} units", ((3, WIDTH),) * 3, lstm_cell),
    "sync_batch_norm": Definition(_NORM, (_image(2),), batch_norm),
    **{
        name: Definition(
            f"{WIDTH} features, {WIDTH} units, the batch before time; one layer or several, in one direction or both",
            ((3, 5, WIDTH),),
            compute,
        )
        for name, compute in (
            ("rnn", unrolled(rnn_cell, 1)),
            ("gru", unrolled(gru_cell, 1)),
            ("lstm", unrolled(lstm_cell, 2)),
        )
    },
    **{f"batch_norm{n}d": Definition(_NORM, (_image(n),), batch_norm) for n in (2, 3)},
    **{
        f"instance_norm{n}d": Definition(f"{_NORM}, with scale and bias", (_image(n),), instance_norm)
        for n in (1, 2, 3)
    },
    **{
        f"{name}{n}d": Definition(
            f"{WIDTH} to {WIDTH} channels in one group or several, window {WIDTH} along each axis, stride 1, "
            "no padding, with bias",
            (_image(n),),
            compute,
        )
        for name, compute in (("conv", conv), ("conv_transpose", conv_transpose))
        for n in (1, 2, 3)
    },
}
