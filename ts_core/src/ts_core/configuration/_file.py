"""The settings of a network as JSON: made in one environment, read in another without any framework."""

from __future__ import annotations

import functools
import json
import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ts_core.contract.dtypes import dtype_name, dtype_of
from ts_core.contract.nouns import Parameter
from ts_core.contract.settings import SettingValue
from ts_core.contract.transforms import from_json
from ts_core.errors import SettingsError, SettingsNotFoundError, TsError
from ts_core.frameworks import ToldLayer

FORMAT, VERSION = "ts-settings", 1
_MAKE_ONE = "`ts settings SCRIPT:FUNCTION -o FILE` and ts.settings(net).to_json(FILE) make one"
_WIDEST = 60  # characters of a value as it is spelled
_NUMBERS = {"inf": float("inf"), "-inf": float("-inf"), "nan": float("nan")}  # which JSON does not have


class Read:
    """Stands for what a framework has, which is not in a file."""


_READ = Read()


def facts(
    framework: str | None, network: str, layers: Sequence[ToldLayer], parameters: Sequence[Parameter]
) -> dict[str, Any]:
    """What a file says besides the rows."""
    return {
        "format": FORMAT,
        "version": VERSION,
        "framework": framework,
        "network": network,
        "layers": [_layer(one) for one in layers],
        "parameters": [_parameter(one) for one in parameters],
    }


def _layer(one: ToldLayer) -> dict[str, Any]:
    names = ("path", "cls", "kind", "training", "part_of", "same_as", "leaf")
    said = {name: getattr(one, name) for name in names}
    if one.part_of is not None:  # those of other layers are rows
        said["settings"] = {name: [_plain(told.value), spelled(told)] for name, told in one.settings.items()}
    return said


def _plain(value: Any) -> Any:
    """A value as JSON has it."""
    if isinstance(value, tuple):
        return list(map(_plain, value))
    return value if not isinstance(value, float) or math.isfinite(value) else str(value)


def spelled(told: SettingValue | None) -> str:
    """What stands in the framework's layer, in words: ``padding=1 kernel_size=3``."""
    if told is None or not told.spelled:
        return ""
    if isinstance(told.raw, Read):
        return told.spelled
    paths = told.spelled.split()
    values = told.raw if len(paths) > 1 and isinstance(told.raw, Mapping) else {paths[0]: told.raw}
    return " ".join(f"{path.partition('|')[0]}={_one_line(value)}" for path, value in values.items())


def one_line(text: str) -> str:
    """Text with names from a file: what cannot be printed is escaped."""
    return text if text.isprintable() else ascii(text)[1:-1]


def _one_line(value: object) -> str:
    plain = isinstance(value, bool | int | float | str | tuple | list | type(None))
    text = repr(value) if plain else str(getattr(value, "__name__", type(value).__name__))
    return text if len(text) <= _WIDEST else f"{text[: _WIDEST - 3]}..."


def _parameter(one: Parameter) -> dict[str, Any]:
    return {
        **{
            name: getattr(one, name) for name in ("name", "path", "layer", "kind", "trainable", "persistent", "tied_to")
        },
        "shape": list(one.shape),
        "dtype": dtype_name(one.dtype),
        "role": list(one.role) if isinstance(one.role, tuple) else one.role,
        "layout": None if one.layout is None else one.layout.to_json(),
    }


def read(path: str | os.PathLike[str]) -> dict[str, Any]:
    """What :func:`facts` wrote, and the rows: the arguments of a :class:`NetworkSettings`.

    Raises:
        SettingsNotFoundError: there is no such file.
        SettingsError: it holds weights, or is no settings file, or of another version.
    """
    try:
        with Path(path).open("rb") as file:
            begin = file.read(64)
            if not begin.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"{"):
                raise SettingsError(
                    f"{path} is no settings file: there are no settings in weights, only in the network that has them; "
                    f"{_MAKE_ONE}"
                )
            text = (begin + file.read()).decode("utf-8-sig")
    except FileNotFoundError as problem:
        raise SettingsNotFoundError(f"there is no settings file {path}; {_MAKE_ONE}") from problem
    except UnicodeDecodeError as problem:
        raise SettingsError(f"{path} is no settings file: it is no text; {_MAKE_ONE}") from problem
    except (OSError, ValueError) as problem:
        if isinstance(problem, TsError):
            raise
        reason = getattr(problem, "strerror", None) or problem
        raise SettingsError(f"{path} cannot be read as settings: {reason}; {_MAKE_ONE}") from problem
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as problem:
        raise SettingsError(f"{path} is no settings file: {problem}; {_MAKE_ONE}") from problem
    if not isinstance(content, Mapping) or content.get("format") != FORMAT:
        raise SettingsError(f"{path} is no settings file: it does not say that its format is {FORMAT}; {_MAKE_ONE}")
    if content.get("version") != VERSION:
        raise SettingsError(
            f"{path} is of version {content.get('version')!r} of settings files, and this is ts for version {VERSION}: "
            f"make it anew with this ts; {_MAKE_ONE}"
        )
    try:
        return _arguments(content)
    except (KeyError, TypeError, ValueError, AttributeError) as problem:
        reason = f"{problem.args[0]!r} is missing" if isinstance(problem, KeyError) else str(problem)
        raise SettingsError(f"{path} is a damaged settings file: {reason}; {_MAKE_ONE}") from problem


def _arguments(content: Mapping[str, Any]) -> dict[str, Any]:
    values: dict[str, dict[str, SettingValue]] = {}
    known: dict[tuple[object, ...], SettingValue] = {}  # layers that were told the same share what they were told
    for row in _list(content, "rows"):
        path, kind, setting, words, value = row["path"], row["kind"], row["setting"], row["spelled"], row["value"]
        if not (type(path) is type(kind) is type(setting) is type(words) is str):
            raise TypeError(f"a row cannot be {row!r}")
        own = values.setdefault(path, {})
        if setting:
            value = _value(value)
            key = kind, words, value, type(value)
            if key not in known:
                known[key] = SettingValue(kind, value, words, _READ)
            own[setting] = known[key]
    layers = [
        ToldLayer(
            path=(path := _is(one, "path", str)),
            cls=_is(one, "cls", str),
            kind=_is(one, "kind", str, None),
            settings=values.get(path, {}) if one.get("part_of") is None else _of_part(one),
            training=_is(one, "training", bool, None),
            part_of=_is(one, "part_of", str, None),
            same_as=_is(one, "same_as", str, None),
            leaf=_is(one, "leaf", bool),
        )
        for one in _list(content, "layers")
    ]
    strangers = values.keys() - {layer.path for layer in layers}
    if strangers:
        raise ValueError(f"it has settings of a layer that is not in it: {sorted(strangers)[0]!r}")
    return {
        "framework": _is(content, "framework", str, None),
        "name": _is(content, "network", str),
        "layers": layers,
        "parameters": [_described(one) for one in _list(content, "parameters")],
    }


def _of_part(one: Mapping[str, Any]) -> dict[str, SettingValue]:
    return {
        name: SettingValue(one["kind"], _value(value), str(words), _READ)
        for name, (value, words) in one["settings"].items()
    }


def _described(one: Mapping[str, Any]) -> Parameter:
    role = one["role"]
    if not isinstance(role, str | None) and not (isinstance(role, list) and all(isinstance(r, str) for r in role)):
        raise TypeError(f"a role is a string or several, not {role!r}")
    if role == [] or (isinstance(role, list) and one["layout"] is None):
        raise ValueError(f"the roles {role!r} have no layout that joins them")
    shape = _list(one, "shape")
    if not all(isinstance(size, int) and not isinstance(size, bool) and size >= 0 for size in shape):
        raise TypeError(f"a shape is a list of sizes, not {shape!r}")
    return Parameter(
        name=_is(one, "name", str),
        shape=tuple(shape),
        dtype=_dtype(_is(one, "dtype", str)),
        path=_is(one, "path", str),
        layer=_is(one, "layer", str),
        kind=_is(one, "kind", str, None),
        role=tuple(role) if isinstance(role, list) else role,
        trainable=_is(one, "trainable", bool),
        persistent=_is(one, "persistent", bool),
        tied_to=_is(one, "tied_to", str, None),
        value=None,
        layout=None if one["layout"] is None else from_json(one["layout"]),
    )


_dtype = functools.cache(dtype_of)


def _list(content: Mapping[str, Any], name: str) -> list[Any]:
    if not isinstance(content[name], list):
        raise TypeError(f"{name!r} is no list")
    found: list[Any] = content[name]
    return found


def _is(content: Mapping[str, Any], name: str, *types: type | None) -> Any:
    value = content[name]
    if not any(value is None if one is None else isinstance(value, one) for one in types):
        raise TypeError(f"{name!r} cannot be {value!r}")
    return value


def _value(value: Any) -> Any:
    if isinstance(value, list):
        return tuple(map(_value, value))
    if isinstance(value, dict):
        raise TypeError(f"a setting cannot be {value!r}")
    return _NUMBERS.get(value, value) if isinstance(value, str) else value
