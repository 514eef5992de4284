"""There and back again: a map to the other framework and the map back undo each other, bit for bit."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import ts_core as ts
from ts_core.contract import transforms as t
from ts_core.errors import WeightMapError

torch = pytest.importorskip("torch")
mindspore = pytest.importorskip("mindspore")

sizes = st.integers(2, 5)


def _layer(torch_name: str, mindspore_name: str, arguments: tuple, options: dict):
    return (
        lambda: getattr(torch.nn, torch_name)(*arguments),
        lambda: getattr(mindspore.nn, mindspore_name)(*arguments, **options),
    )


@st.composite
def layers(draw):
    """A layer of any kind, as a pair of makers: torch's and MindSpore's."""
    a, b, c, d = draw(sizes), draw(sizes), draw(sizes), draw(st.integers(1, 3))
    width = 2 * a
    return draw(
        st.sampled_from(
            [
                _layer("Linear", "Dense", (a, b), {}),
                _layer("Bilinear", "BiDense", (a, b, c), {}),
                _layer(f"Conv{d}d", f"Conv{d}d", (a, b, c), {"has_bias": True}),
                _layer(f"ConvTranspose{d}d", f"Conv{d}dTranspose", (a, b, c), {"has_bias": True}),
                _layer(f"BatchNorm{d}d", f"BatchNorm{d}d", (a,), {}),
                _layer("GroupNorm", "GroupNorm", (2, width), {}),
                _layer("LayerNorm", "LayerNorm", ((a, b),), {}),
                _layer("Embedding", "Embedding", (a, b), {}),
                _layer("PReLU", "PReLU", (a,), {}),
                _layer("LSTM", "LSTM", (a, b, d), {}),
                _layer("GRUCell", "GRUCell", (a, b), {}),
                _layer("MultiheadAttention", "MultiheadAttention", (width, 2), {}),
                _layer("TransformerEncoderLayer", "TransformerEncoderLayer", (width, 2, b), {}),
            ]
        )
    )


@settings(max_examples=25, deadline=None)
@given(st.lists(layers(), min_size=1, max_size=4))
def test_a_map_and_its_inverse_give_the_source_back(makers):
    source = torch.nn.ModuleList([make() for make, _ in makers])
    found = ts.weight_map(source, "mindspore")
    values = {p.name: ts.to_numpy(p.value) for p in ts.parameters(source)}
    from ts_core.sources import open_source

    returned = found.inverse().apply(found.apply(open_source(values)))
    assert set(returned) == set(values)
    for name, array in values.items():
        np.testing.assert_array_equal(returned[name], array)


@st.composite
def transformed(draw):
    """A transform of the vocabulary, and arrays that it fits."""
    shape = tuple(draw(st.lists(st.integers(1, 4), min_size=1, max_size=4)))
    axis = draw(st.integers(0, len(shape) - 1))
    array = np.arange(int(np.prod(shape))).reshape(shape)
    blocks = draw(st.permutations(range(draw(st.integers(1, 4)))))
    lengths = tuple(draw(st.lists(st.integers(1, 3), min_size=1, max_size=3)))
    whole = np.arange(sum(lengths) * 2).reshape(sum(lengths), 2)
    parts = tuple(np.split(whole, np.cumsum(lengths)[:-1]))
    return draw(
        st.sampled_from(
            [
                (t.InsertAxis(axis), (array,)),
                (t.RemoveAxis(axis), (np.expand_dims(array, axis),)),
                (t.Transpose(tuple(draw(st.permutations(range(len(shape)))))), (array,)),
                (t.Reshape(shape, (int(np.prod(shape)),)), (array,)),
                (t.Split(0, lengths), (whole,)),
                (t.Concatenate(0, lengths), parts),
                (t.ReorderBlocks(0, tuple(blocks)), (np.arange(len(blocks) * 6).reshape(len(blocks) * 3, 2),)),
                (t.InsertZeros(1, (2, 3)), (array, array)),
                (t.LeaveOut(0, shape), (np.zeros(shape, array.dtype), array)),
                (t.Chain((t.InsertAxis(axis), t.RemoveAxis(axis), t.InsertAxis(0))), (array,)),
            ]
        )
    )


@settings(max_examples=200, deadline=None)
@given(transformed())
def test_every_transform_is_undone_by_its_inverse_and_survives_its_file_form(case):
    import json

    transform, arrays = case
    assert t.from_json(json.loads(json.dumps(transform.to_json()))) == transform
    results = transform.apply(*arrays)
    assert tuple(r.shape for r in results) == transform.shapes(*(a.shape for a in arrays))
    for before, after in zip(arrays, transform.inverse().apply(*results), strict=True):
        np.testing.assert_array_equal(before, after)


@pytest.mark.parametrize(
    ("transform", "shapes"),
    [
        (t.InsertAxis(4), [(2, 3)]),
        (t.RemoveAxis(0), [(2, 3)]),
        (t.Transpose((0, 0)), [(2, 3)]),
        (t.Reshape((6,), (2, 3)), [(2, 3)]),
        (t.Reshape((6,), (2, 4)), [(6,)]),
        (t.Split(0, (1, 2)), [(4, 2)]),
        (t.Concatenate(0, (1, 2)), [(1, 2), (2, 3)]),
        (t.ReorderBlocks(0, (1, 0)), [(3, 2)]),
        (t.Combine((1, -1)), [(3,), (4,)]),
        (t.Combine((1, -1)), [(3,)]),
        (t.InsertZeros(3, (2,)), [(2,), (2,)]),
        (t.LeaveOut(0, (3,)), [(2,), (3,)]),
        (t.LeaveOut(2, (3,)), [(3,), (3,)]),
    ],
    ids=lambda value: getattr(value, "name", None),
)
def test_a_transform_refuses_shapes_that_it_does_not_fit(transform, shapes):
    with pytest.raises(WeightMapError, match="cannot"):
        transform.shapes(*shapes)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64", "int64"])
def test_arrays_are_added_and_rounded_once(dtype):
    import ml_dtypes

    dtype = np.dtype(getattr(ml_dtypes, dtype, dtype))
    one, other = (np.arange(1, 6).astype(dtype), np.full(5, 3).astype(dtype))
    transform = t.Combine((1, -1))
    assert t.from_json(transform.to_json()) == transform
    (total,) = transform.apply(one, other)
    assert total.dtype == dtype
    np.testing.assert_array_equal(total.astype(np.float64), [-2, -1, 0, 1, 2])
    with pytest.raises(WeightMapError, match="no inverse"):
        transform.inverse()
    assert t.chain(transform, t.InsertAxis(0)) == t.Chain((transform, t.InsertAxis(0)))
