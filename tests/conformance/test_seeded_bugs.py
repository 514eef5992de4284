"""The conformance suite catches plug-ins that are wrong: each bug here is put into the PyTorch plug-in, one at a time.

Here the bugs of tensors, networks and their parameters; see :mod:`seeding`.
"""

import dataclasses

import numpy as np
import pytest
from seeding import Bugs, EachIsCaught, on_arrays, on_each_parameter, on_layers, on_parameters

torch = pytest.importorskip("torch")
bug = Bugs()


# tensor_to_numpy


@bug("tensor_to_numpy", "test_to_numpy")
@on_arrays
def float32_for_bfloat16(array):
    return array.astype(np.float32) if array.dtype.name == "bfloat16" else array


@bug("tensor_to_numpy", "test_to_numpy")
@on_arrays
def half_the_integer(array):
    return array.astype(np.int32) if array.dtype == np.int64 else array


@bug("tensor_to_numpy", "test_to_numpy")
@on_arrays
def no_scalars(array):
    return np.atleast_1d(array)


@bug("tensor_to_numpy", "test_to_numpy_special_values")
@on_arrays
def tidy_nan(array):
    return np.where(array != array, np.float32(np.nan), array) if array.dtype == np.float16 else array


@bug("tensor_to_numpy", "test_to_numpy_views")
@on_arrays
def strides_forgotten(array):
    return array.T.reshape(array.shape) if array.flags.f_contiguous and array.ndim == 2 else array


@bug("tensor_to_numpy", "test_to_numpy_shares_memory")
@on_arrays
def needless_copy(array):
    return array.copy()


@bug("tensor_to_numpy", "test_to_numpy_without_dense_array")
def sparse_made_dense(honest):
    def tensor_to_numpy(tensor):
        sparse = isinstance(tensor, torch.Tensor) and tensor.layout is torch.sparse_coo
        return tensor.to_dense().numpy() if sparse else honest(tensor)

    return tensor_to_numpy


@bug("tensor_to_numpy", "test_strangers")
def a_stranger_is_an_error(honest):
    def tensor_to_numpy(tensor):
        array = honest(tensor)
        if array is None:
            raise TypeError(f"not a torch.Tensor: {tensor!r}")
        return array

    return tensor_to_numpy


@bug("tensor_to_numpy", "test_namesakes")
def told_by_the_name_alone(honest):
    def tensor_to_numpy(tensor):
        return np.zeros(0) if type(tensor).__name__ == "Tensor" and honest(tensor) is None else honest(tensor)

    return tensor_to_numpy


@bug("tensor_to_numpy", "test_strangers", "Lookalike")
def takes_anything_with_numpy(honest):
    def tensor_to_numpy(tensor):
        array = honest(tensor)
        return tensor.numpy() if array is None and hasattr(tensor, "numpy") else array

    return tensor_to_numpy


@bug("tensor_to_numpy", "test_to_numpy", "at [2, 1]: 3.0 instead of 2.0; 1 of 12 elements differ")
@on_arrays
def one_more_in_one_place(array):
    if array.shape != (3, 4) or array.dtype.name != "float32":
        return array
    array = array.copy()
    array[2, 1] += 1
    return array


# tensor_from_numpy


@bug("tensor_from_numpy", "test_from_numpy_copies")
def shares_the_array(honest):
    def tensor_from_numpy(array, framework):
        plain = framework == "torch" and array.dtype == np.float32 and array.flags.c_contiguous
        return torch.from_numpy(array) if plain else honest(array, framework)

    return tensor_from_numpy


@bug("tensor_from_numpy", "test_from_numpy")
def byte_order_ignored(honest):
    def tensor_from_numpy(array, framework):
        return honest(array.view(array.dtype.newbyteorder("=")), framework)

    return tensor_from_numpy


@bug("tensor_from_numpy", "test_from_numpy")
def everything_is_float32(honest):
    def tensor_from_numpy(array, framework):
        return honest(array.astype(np.float32) if array.dtype == np.float64 else array, framework)

    return tensor_from_numpy


@bug("tensor_from_numpy", "test_from_numpy_unknown_dtype")
def text_becomes_zeros(honest):
    def tensor_from_numpy(array, framework):
        return honest(np.zeros(array.shape) if array.dtype.kind == "U" else array, framework)

    return tensor_from_numpy


@bug("tensor_from_numpy", "test_other_frameworks")
def answers_for_others(honest):
    def tensor_from_numpy(array, framework):
        return honest(array, "torch")

    return tensor_from_numpy


# iter_layers


@bug("iter_layers", "test_layers")
@on_layers
def network_left_out(layers):
    return layers[1:]


@bug("iter_layers", "test_layers")
@on_layers
def shared_layer_once(layers):
    return list({id(layer.layer): layer for layer in reversed(layers)}.values())[::-1]


@bug("iter_layers", "test_layers")
@on_layers
def layers_by_name(layers):
    return sorted(layers, key=lambda layer: layer.path)


@bug("iter_layers", "test_layers")
@on_layers
def container_left_out(layers):
    return [layer for layer in layers if not isinstance(layer.layer, torch.nn.Sequential)]


@bug("iter_layers", "test_layers")
@on_layers
def only_paths(layers):
    return [(layer.path, layer.layer) for layer in layers]


@bug("iter_layers", "test_paths", "the path of a Layer leads to it")
@on_layers
def layers_under_their_numbers(layers):
    return [dataclasses.replace(each, path=str(number) if number else "") for number, each in enumerate(layers)]


@bug("iter_layers", "test_strangers")
def everything_is_a_layer(honest):
    def iter_layers(net):
        found = honest(net)
        return [] if found is None else found

    return iter_layers


# iter_parameters


@bug("iter_parameters", "test_parameters")
@on_parameters
def alphabetical_order(parameters):
    return sorted(parameters, key=lambda parameter: parameter.path)


@bug("iter_parameters", "test_parameters")
@on_parameters
def dropped_buffer(parameters):
    return [parameter for parameter in parameters if parameter.trainable]


@bug("iter_parameters", "test_parameters")
@on_parameters
def tied_only_once(parameters):
    return list({id(parameter.tensor): parameter for parameter in reversed(parameters)}.values())[::-1]


@bug("iter_parameters", "test_nets_show_the_features")
@on_each_parameter
def tie_not_told(parameter):
    return {"tensor": parameter.tensor.detach()}


@bug("iter_parameters", "test_nets_show_the_features")
@on_each_parameter
def everything_is_trainable(parameter):
    return {"trainable": True}


@bug("iter_parameters", "test_parameters")
@on_each_parameter
def path_of_the_layer_above(parameter):
    return {"path": parameter.path.partition(".")[2] or parameter.path, "name": parameter.path}


@bug("iter_parameters", "test_raw_parameters")
@on_each_parameter
def trainable_as_a_number(parameter):
    return {"trainable": int(parameter.trainable)}


@bug("iter_parameters", "test_raw_parameters")
@on_parameters
def only_pairs(parameters):
    return [(parameter.path, parameter.tensor) for parameter in parameters]


@bug("iter_parameters", "test_paths", "leads elsewhere, or nowhere")
@on_each_parameter
def path_of_a_wrapper(parameter):
    return {"path": f"module.{parameter.path}", "name": parameter.path}


@bug("iter_parameters", "test_paths", "'stem.0.bias' leads elsewhere, or nowhere")
@on_parameters
def paths_of_each_other(parameters):
    exchange = {"stem.0.weight": "stem.0.bias", "stem.0.bias": "stem.0.weight"}
    return [dataclasses.replace(each, path=exchange.get(each.path, each.path), name=each.path) for each in parameters]


@bug("iter_parameters", "test_raw_parameters")
@on_each_parameter
def path_without_the_layer(parameter):
    return {"path": parameter.path.rpartition(".")[2], "name": parameter.path}


# load_parameters


@bug("load_parameters", "test_load")
def buffers_not_loaded(honest):
    def load_parameters(net, arrays):
        return honest(net, {path: array for path, array in arrays.items() if "running" not in path})

    return load_parameters


@bug("load_parameters", "test_load")
def memory_order_ignored(honest):
    def load_parameters(net, arrays):
        return honest(net, {path: a.ravel("K").reshape(a.shape) for path, a in arrays.items()})

    return load_parameters


@bug("load_parameters", "test_load")
def answers_nothing(honest):
    def load_parameters(net, arrays):
        honest(net, arrays)

    return load_parameters


@bug("load_parameters", "test_load")
def answers_the_names(honest):
    def load_parameters(net, arrays):
        return None if honest(net, arrays) is None else list(arrays)

    return load_parameters


@bug("load_parameters", "test_load_some")
def what_is_not_given_becomes_zero(honest):
    def load_parameters(net, arrays):
        if isinstance(net, torch.nn.Module):
            with torch.no_grad():
                for parameter in net.parameters():
                    parameter.zero_()
        return honest(net, arrays)

    return load_parameters


@bug("load_parameters", "test_load_copies")
def keeps_the_arrays(honest):
    def load_parameters(net, arrays):
        answer = honest(net, arrays)
        for path, parameter in net.named_parameters() if answer else ():
            if parameter.dtype == torch.float32 and arrays[path].flags.writeable:
                parameter.data = torch.from_numpy(arrays[path])
        return answer

    return load_parameters


@bug("load_parameters", "test_strangers")
def loads_into_strangers(honest):
    def load_parameters(net, arrays):
        return honest(net, arrays) or net or "a stranger"

    return load_parameters


class TestBugs(EachIsCaught):
    bugs = bug
