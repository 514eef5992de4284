"""Tests of networks: their layers and parameters, and putting arrays back."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import numpy as np

from ts_core.contract.nouns import Layer, RawParameter
from ts_core.testing._suite._base import Suite
from ts_core.testing._suite._cases import NetCase
from ts_core.testing._suite._promises import promise, same, unchanged

Array = np.ndarray[Any, np.dtype[Any]]

_AT = ", by attributes and items: where that is not how paths go, at() goes it"


class NetworkTests(Suite):
    """Layers and parameters are told as they are, and arrays arrive."""

    def test_layers(self, net_case: NetCase) -> None:
        """Every layer in definition order: the network itself first, a shared layer at each of its places."""
        net = net_case.make()
        answer = self.hook("iter_layers")(net)
        promise(answer is not None, "iter_layers recognises the framework's networks", f"{type(net)}: None")
        found = list(answer)
        promise(all(isinstance(each, Layer) for each in found), "iter_layers yields Layers", f"{found}")
        paths = [each.path for each in found]
        promise(paths[:1] == [""] and found[0].layer is net, "iter_layers yields the network first, as ''", f"{paths}")
        promise(len(set(paths)) == len(paths), "iter_layers yields each path once", f"{paths}")
        owners = [layer for _, layer, _, _ in net_case.parameters if layer not in paths]
        promise(not owners, "iter_layers yields every layer that owns a parameter", f"missing {owners}")
        promise(
            not net_case.layers or paths == list(net_case.layers),
            "iter_layers yields every layer in definition order, a shared one at each of its places",
            f"{paths} instead of {list(net_case.layers)}",
        )

    def test_raw_parameters(self, net_case: NetCase) -> None:
        """`iter_parameters` yields raw facts: each path once, with a tensor of the framework."""
        found = list(self.hook("iter_parameters")(net_case.make()) or ())
        for each in found:
            promise(isinstance(each, RawParameter), "iter_parameters yields RawParameters", f"{each!r}")
            facts = all(type(fact) is bool for fact in (each.trainable, each.persistent))
            promise(facts, "trainable and persistent are bool", f"{each!r}")
        paths = [each.path for each in found]
        promise(len(set(paths)) == len(paths), "iter_parameters yields each path once", f"{paths}")

    def test_paths(self, net_case: NetCase) -> None:
        """A path leads to its layer, or tensor, from the network, by attributes and items (or as :meth:`at` goes)."""
        net = net_case.make()
        for layer in self.hook("iter_layers")(net) or ():
            text = f"the path of a Layer leads to it{_AT}"
            promise(self.at(net, layer.path) is layer.layer, text, f"{layer.path!r} leads elsewhere, or nowhere")
        for raw in self.hook("iter_parameters")(net) or ():
            text = f"the path of a RawParameter leads to its tensor{_AT}"
            promise(self.at(net, raw.path) is raw.tensor, text, f"{raw.path!r} leads elsewhere, or nowhere")

    def test_parameters(self, net_case: NetCase) -> None:
        """Every parameter and buffer, in definition order, with its layer, kind and role."""
        found = [(p.name, p.layer, p.kind, p.role) for p in self.parameters(net_case.make())]
        expected = [tuple(row) for row in net_case.parameters]
        lost, added = [row for row in expected if row not in found], [row for row in found if row not in expected]
        promise(
            not lost and not added,
            "iter_parameters names every parameter and buffer with its layer, kind and role",
            f"missing {lost}, not expected {added}",
        )
        promise(found == expected, "iter_parameters keeps the definition order", f"{found} instead of {expected}")

    def test_parameters_match_their_values(self, net_case: NetCase) -> None:
        """Shape and dtype are those of the value, and the value is a tensor of the framework."""
        for parameter in self.parameters(net_case.make()):
            array = self.hook("tensor_to_numpy")(parameter.value)
            promise(array is not None, "the value of a parameter is a tensor", f"{type(parameter.value)}")
            promise(parameter.shape == array.shape, f"{parameter.name} has the shape of its value", f"{parameter}")
            promise(type(parameter.shape) is tuple, "a shape is a tuple", f"{parameter}")
            promise(parameter.dtype == array.dtype, f"{parameter.name} has the dtype of its value", f"{parameter}")

    def test_nets_show_the_features(self) -> None:
        """The networks of the suite show nesting, another order than the alphabet's, a buffer and a tied tensor."""
        seen = [self.parameters(case.make()) for case in self.nets()]
        every = [parameter for net in seen for parameter in net]
        promise(any("." in p.layer for p in every), "one network nests a layer within a layer")
        promise(any(case.layers for case in self.nets()), "one NetCase tells the paths of all layers")
        promise(
            any([p.name for p in net] != sorted(p.name for p in net) for net in seen),
            "one network defines its layers in another order than the alphabet's",
        )
        promise(all(p.trainable for p in seen[0] if p.role in ("weight", "bias")), "weights and biases are trainable")
        if "buffers" not in self.absent:
            promise(any(not p.trainable for p in every), "one network has a buffer, which is not trainable")
        if "tied" not in self.absent:
            promise(any(p.tied_to for p in every), "one network uses a tensor twice, and the second names the first")

    def test_tied(self) -> None:
        """A tensor that is used twice comes twice, and `tied_to` names its first place."""
        self.need("tied")
        for net in (self.parameters(case.make()) for case in self.nets()):
            names = [parameter.name for parameter in net]
            for position, parameter in enumerate(net):
                if parameter.tied_to is not None:
                    promise(parameter.tied_to in names[:position], "tied_to names an earlier parameter", f"{parameter}")
                    first = net[names.index(parameter.tied_to)]
                    promise(first.value is parameter.value, "tied parameters are the same tensor", f"{parameter}")

    # Loading

    def _fresh(self, net: object, arrays: Mapping[str, Array]) -> dict[str, Array]:
        """Other arrays by path, as the core gives them to a plug-in: each tensor once, not writable, in any order."""
        fresh = {}
        for parameter in self.parameters(net):
            if parameter.persistent and parameter.tied_to is None:
                array = arrays[parameter.name]
                fresh[parameter.path] = np.array(array + np.ones_like(array), array.dtype, order="F")
                fresh[parameter.path].flags.writeable = False
        return fresh

    def _holds(self, net: object, expected: Mapping[str, Array], text: str) -> None:
        names = {p.name: p.path for p in self.parameters(net) if p.persistent and p.tied_to is None}
        values = self.values(net)
        for name, path in names.items():
            if path in expected:
                same(values[name], expected[path], f"{text}: {name}")

    def test_load(self, net_case: NetCase) -> None:
        """What is loaded is what is then in the network that is answered, in arrays of any memory layout."""
        net, arrays = self.filled(net_case.make())
        fresh = self._fresh(net, arrays)
        answer = self.hook("load_parameters")(net, MappingProxyType(fresh))
        promise(type(answer) is type(net), "load_parameters answers the network that holds the arrays", f"{answer!r}")
        self._holds(answer, fresh, "the network holds what was loaded")

    def test_load_some(self, net_case: NetCase) -> None:
        """Parameters whose paths are not in the mapping keep their values."""
        net, arrays = self.filled(net_case.make())
        before = {p.path: arrays[p.name] for p in self.parameters(net) if p.persistent and p.tied_to is None}
        path, array = next(reversed(self._fresh(net, arrays).items()))
        answer = self.hook("load_parameters")(net, MappingProxyType({path: array}))
        self._holds(answer, {**before, path: array}, "load_parameters changes what it is given, and only that")

    def test_load_copies(self, net_case: NetCase) -> None:
        """The network does not follow later changes of the arrays."""
        net, arrays = self.filled(net_case.make())
        fresh = {path: np.array(array) for path, array in self._fresh(net, arrays).items()}
        answer = self.hook("load_parameters")(net, fresh)
        before = self.values(answer)
        for array in fresh.values():
            array[...] = np.zeros_like(array)
        unchanged(self.values(answer), before, "load_parameters copies")

    def test_load_casts(self, net_case: NetCase) -> None:
        """A parameter keeps its dtype whatever is loaded, because the core casts."""
        net, arrays = self.filled(net_case.make())
        dtypes = {p.name: p.dtype for p in self.parameters(net)}
        wide = {name: array.astype(np.float64) for name, array in arrays.items()}
        for name, array in self.values(self.load(net, wide)).items():
            same(array, wide[name].astype(dtypes[name]), f"{name} keeps its dtype when float64 is loaded")
