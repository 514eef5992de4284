"""Two networks on the same inputs, under the name that the older tool gave it."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ts_core.comparison import Report, compare, output_table
from ts_core.contract.tracing import Inputs, leaves
from ts_core.conversion import transfer
from ts_core.errors import ArgumentError, ArgumentTypeError, RunError
from ts_core.frameworks import fix_random, framework_of, no_plugin, to_numpy
from ts_core.location import LocateReport, locate
from ts_core.migrator._weights import StrPath
from ts_core.running import Recorder, Store, array_of, as_inputs, observe

_KEPT, _CONVERTED, _EQUAL_NAMES = 0, 1, 2


class NetDifferenceFinder:
    """Compares what a torch network and a MindSpore network make of the same inputs; :func:`ts_core.locate` says where.

    Args:
        pt_net: the torch network.
        ms_net: the MindSpore network.
        print_level: 0 prints nothing, 1 everything.
        pt_params_path: a checkpoint to load into `pt_net` first.
        ms_params_path: a checkpoint to load into `ms_net` first.
        auto_conv_ckpt: 0 leaves the weights as they are, 1 puts those of `pt_net` into `ms_net`, 2 does so by equal
            names (networks written with a torch-like library).
        compare_params: compare the parameters as well, and print them.
        fix_seed: for every random generator.

    Raises:
        ArgumentTypeError: one of the two is no network.
        ArgumentError: `auto_conv_ckpt` is none of the three.
    """

    def __init__(
        self,
        pt_net: object,
        ms_net: object,
        print_level: int = 1,
        *,
        pt_params_path: StrPath | None = None,
        ms_params_path: StrPath | None = None,
        auto_conv_ckpt: int = _CONVERTED,
        compare_params: bool = True,
        fix_seed: int = 16,
    ) -> None:
        for name, net in (("pt_net", pt_net), ("ms_net", ms_net)):
            if framework_of(net) is None:
                raise ArgumentTypeError(f"{name}: not a network: {no_plugin(net)}")
        if auto_conv_ckpt not in (_KEPT, _CONVERTED, _EQUAL_NAMES):
            raise ArgumentError(f"auto_conv_ckpt={auto_conv_ckpt!r}: 0 keeps the weights, 1 converts them, 2 by name")
        self.pt_net, self.ms_net, self._print = pt_net, ms_net, bool(print_level)
        self._params, self._seed = compare_params, fix_seed
        fix_random(fix_seed)
        for net, path in ((pt_net, pt_params_path), (ms_net, ms_params_path)):
            if path is not None:
                transfer(path, net)
        if auto_conv_ckpt == _CONVERTED:
            transfer(pt_net, ms_net)
        elif auto_conv_ckpt == _EQUAL_NAMES:
            from ts_core.frameworks import load_parameters, parameters

            load_parameters(ms_net, {p.name: p.value for p in parameters(pt_net)}, strict=False)
        self.located: LocateReport | None = None

    def compare(
        self,
        inputs: Sequence[Any] | None = None,
        auto_inputs: Any = None,
        rtol: float = 1e-4,
        atol: float = 1e-4,
        equal_nan: bool = False,
    ) -> Report:
        """Run both networks on each case, and print a table of their outputs, and where they part first.

        Args:
            inputs: a list of cases, each a tuple of arrays, tensors or paths of ``.npy`` files.
            auto_inputs: ``(((shape, dtype), …), number)`` or ``{"input": ((shape, dtype), …), "num": number}``: so many
                cases of random inputs.
            rtol: values are close when ``|torch - MindSpore| <= atol + rtol * |MindSpore|``.
            atol: see `rtol`.
            equal_nan: whether two NaN are equal.

        Returns:
            The comparison of all outputs; what :func:`ts_core.locate` found is in the attribute ``located``.

        Raises:
            ArgumentError: there are no inputs, or both kinds; a description of random inputs has another form.
        """
        cases = _cases(inputs, auto_inputs)
        if self._params and self._print:
            compare(self.pt_net, self.ms_net, rtol=rtol, atol=atol, equal_nan=equal_nan, progress=False).print()
        found: list[Report] = []
        for number, case in enumerate(cases):
            fix_random(self._seed)
            sides = [_outputs(net, case, number) for net in (self.pt_net, self.ms_net)]
            report = compare(*sides, rtol=rtol, atol=atol, equal_nan=equal_nan, progress=False)
            found.append(report)
            if self._print:
                print(output_table(report, ("PyTorch", "MindSpore")))
            if not report and self.located is None:
                self.located = locate(self.pt_net, self.ms_net, case)
                if self._print:
                    print(self.located)
        return found[0] if len(found) == 1 else Report([row for report in found for row in report.rows])


def _cases(inputs: Sequence[Any] | None, auto_inputs: Any) -> list[Inputs]:
    if (inputs is None) == (auto_inputs is None):
        raise ArgumentError("compare needs inputs, or auto_inputs, and not both")
    if inputs is not None:
        return [as_inputs(tuple(map(_loaded, case if isinstance(case, tuple | list) else (case,)))) for case in inputs]
    try:
        shapes, number = (auto_inputs["input"], auto_inputs["num"]) if isinstance(auto_inputs, Mapping) else auto_inputs
        rng = np.random.default_rng(0)
        return [
            Inputs(tuple(_random(rng, tuple(shape), np.dtype(dtype)) for shape, dtype in shapes)) for _ in range(number)
        ]
    except (TypeError, ValueError, KeyError) as problem:
        raise ArgumentError(
            f"auto_inputs={auto_inputs!r:.100}: the form is (((shape, dtype), …), number), or a dict of input and num"
        ) from problem


def _loaded(given: Any) -> Any:
    return np.load(Path(given), allow_pickle=False) if isinstance(given, str | os.PathLike) else given


def _random(rng: np.random.Generator, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Any:
    return rng.standard_normal(shape).astype(dtype) if dtype.kind == "f" else rng.integers(0, 10, shape).astype(dtype)


def _outputs(net: object, case: Inputs, number: int) -> dict[str, Any]:
    try:
        output = observe(net, case, Recorder(net, Store(0)), training=None).output
    except Exception as problem:
        raise RunError(f"the {type(net).__name__} does not run on case {number}: {problem}") from problem
    arrays = [np.array(to_numpy(leaf)) for _, leaf in leaves(output) if array_of(leaf) is not None]
    return {f"case {number}, output {i}": array for i, array in enumerate(arrays)}
