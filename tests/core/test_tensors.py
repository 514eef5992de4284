"""Arrays and numbers need no plug-in; everything else gets an error that helps."""

from pathlib import Path

import numpy as np
import pytest

import ts_core as ts


def test_an_array_is_returned_as_it_is():
    array = np.arange(6).reshape(2, 3)[:, ::2]
    assert ts.to_numpy(array) is array


@pytest.mark.parametrize("number", [True, 3, 2.5, 1 + 2j, np.float16(3), np.int8(-1)])
def test_a_number_becomes_a_zero_dimensional_array(number):
    array = ts.to_numpy(number)
    assert array.shape == ()
    assert array[()] == number
    assert array.dtype == np.asarray(number).dtype


@pytest.mark.parametrize("stranger", [object(), None, "text", [1, 2], {"a": 1}])
def test_an_object_that_is_no_tensor_is_named(stranger):
    with pytest.raises(ts.errors.NoPluginError, match=type(stranger).__name__) as caught:
        ts.to_numpy(stranger)
    assert isinstance(caught.value, TypeError)


def test_a_tensor_without_its_plugin_says_what_to_install():
    tensor = type("Array", (), {"__module__": "jaxlib._jax"})()
    with pytest.raises(ts.errors.NoPluginError, match=r"no plug-in handles jaxlib\.Array: pip install ts-jax"):
        ts.to_numpy(tensor)


def test_an_unknown_framework_is_named_with_the_known_ones():
    with pytest.raises(ts.errors.ArgumentError, match="no plug-in for a framework called 'tensorflow'"):
        ts.from_numpy(np.zeros(2), "tensorflow")


@pytest.mark.parametrize("stranger", [3, "net.pth", {"a": 1}, np.zeros(2)])
def test_what_is_no_network_is_named(stranger):
    with pytest.raises(ts.errors.ArgumentTypeError, match=f"not a network.*{type(stranger).__name__}"):
        ts.parameters(stranger)
    with pytest.raises(ts.errors.ArgumentTypeError, match="not a network"):
        ts.load_parameters(stranger, {})


@pytest.mark.parametrize(
    ("stranger", "advice"),
    [
        ("net.ckpt", "it is a path"),
        (Path("net.ckpt"), "it is a path"),
        (Path, "it is the class Path: give an instance"),
        (np.zeros(2), "it is one tensor: give a dict"),
    ],
)
def test_what_stands_in_the_place_of_a_network_is_told_what_to_give(stranger, advice):
    with pytest.raises(ts.errors.ArgumentTypeError, match=f"not a network: .*{advice}"):
        ts.parameters(stranger)


def test_an_array_with_a_mask_is_not_taken_for_its_numbers(tmp_path):
    masked = np.ma.masked_array([1.0, 2.0], [False, True])
    for run in (
        lambda: ts.to_numpy(masked),
        lambda: ts.compare({"w": masked}, {"w": np.ones(2)}),
        lambda: ts.save_checkpoint({"w": masked}, tmp_path / "x.npz"),
        lambda: ts.save(tmp_path / "x", {"w": [masked]}),
    ):
        with pytest.raises(ts.errors.TsError, match="mask"):
            run()
    assert not list(tmp_path.iterdir())
    assert ts.to_numpy(np.ma.masked_array([1.0, 2.0])).tolist() == [1.0, 2.0]
