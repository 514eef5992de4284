"""Finds the plug-ins, asks them, and reports the ones that are broken.

Entry points are loaded one by one at the first need, each inside its own ``try``: a plug-in that cannot be imported,
or does not keep the contract, becomes a :class:`~ts_core.errors.PluginWarning` and a line in ``ts plugins``, and the
others work on. The first answer wins, in alphabetical order of the plug-ins. Who answered is remembered by the type of
the object where one plug-in alone claims that type, so that the next question about it costs one dictionary lookup.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ts_core.contract.formats import Format
from ts_core.contract.framework_info import FrameworkInfo
from ts_core.contract.nouns import CONTRACT_VERSION
from ts_core.contract.recognition import is_instance
from ts_core.errors import (
    ArgumentError,
    FrameworkMissingError,
    NoPluginError,
    PluginError,
    PluginWarning,
    TsError,
    warn,
)
from ts_core.frameworks._known import CURES, PACKAGES

# pluggy, importlib.metadata and the contract are imported at the first need: `import ts_core` imports this module.
if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

GROUP = "ts_core"
# Where the user's own values and networks are at work: what goes wrong there is said as the framework says it.
_OF_VALUES = frozenset({"tensor_to_numpy", "tensor_from_numpy", "trace_network", "extract_gradients", "on_gradient"})


@dataclass(frozen=True)
class _Hook:
    """One plug-in's answer to one hook, callable with more arguments than it wants."""

    name: str
    plugin: str
    function: Callable[..., Any]
    argnames: tuple[str, ...]

    def __call__(self, arguments: dict[str, Any]) -> Any:
        given = [arguments[name] for name in self.argnames]
        if self.name in _OF_VALUES:
            return self.function(*given)
        try:
            answer = self.function(*given)
            return list(answer) if isinstance(answer, Iterator) else answer  # what it raises while it yields counts
        except TsError:
            raise
        except Exception as problem:
            reason = f"{type(problem).__name__}: {problem}"
            raise PluginError(f"the plug-in {self.plugin!r} failed in {self.name}: {reason}") from problem


class PluginRegistry:
    """The loaded plug-ins, and who answers what.

    Args:
        entry_points: what to load; by default everything registered under the entry-point group ``ts_core``.
    """

    def __init__(self, entry_points: Iterable[EntryPoint] | None = None) -> None:
        import importlib.metadata

        import pluggy

        import ts_core.log  # noqa: F401 - silences the logger below which plug-ins log
        from ts_core.contract import hooks as hookspecs

        found = importlib.metadata.entry_points(group=GROUP) if entry_points is None else entry_points
        self._manager = pluggy.PluginManager(hookspecs.PROJECT)
        self._manager.add_hookspecs(hookspecs)
        self._answered: dict[tuple[str, type], _Hook] = {}
        self._infos: list[FrameworkInfo] = []
        self._working: dict[str, FrameworkInfo] = {}  # by the name of the plug-in, in the order in which they are asked
        for entry_point in sorted(found, key=lambda entry: (entry.name, entry.value)):
            self._load(entry_point)
        hooks = [name for name, member in vars(hookspecs).items() if hasattr(member, f"{hookspecs.PROJECT}_spec")]
        self._hooks = {name: self._implementations(name) for name in hooks}

    def _load(self, entry_point: EntryPoint) -> None:
        distribution = entry_point.dist
        label = f"{distribution.name} {distribution.version}" if distribution else entry_point.value
        try:
            plugin = entry_point.load()
            # Before its hooks are checked: one of a newer contract may have some that this one does not know.
            info = self._completed(self._info(plugin, entry_point.name), label)
            try:
                self._manager.register(plugin, name=entry_point.name)
                self._manager.check_pending()
                self._refuse_wrappers(entry_point.name)
            except BaseException:
                if self._manager.is_registered(plugin):  # a hook that is wrong leaves those before it registered
                    self._manager.unregister(plugin)
                raise
        except Exception as problem:
            reason = str(problem) if isinstance(problem, PluginError) else f"{type(problem).__name__}: {problem}"
            warn(PluginWarning(f"the plug-in {entry_point.name!r} ({label}) is ignored: {reason.strip()}"))
            self._infos.append(FrameworkInfo(entry_point.name, distribution="", plugin=label, problem=reason.strip()))
            return
        for conflict in info.conflicts:
            warn(PluginWarning(f"{label}: {conflict}"))
        self._infos.append(info)
        self._working[entry_point.name] = info

    def _info(self, plugin: Any, name: str) -> FrameworkInfo:
        """What `framework_info` answers, once it is sure that it is a hook and keeps the contract."""
        function = getattr(plugin, "framework_info", None)
        if function is None:
            raise PluginError("it does not implement framework_info, which every plug-in needs")
        if self._manager.parse_hookimpl_opts(plugin, "framework_info") is None:
            raise PluginError("framework_info is not marked with @hookimpl")
        info = _Hook("framework_info", name, function, ())({})
        if not isinstance(info, FrameworkInfo):
            raise PluginError(f"framework_info answered {info!r}, not a FrameworkInfo")
        if info.contract != CONTRACT_VERSION:
            newer = info.contract > CONTRACT_VERSION
            raise PluginError(
                f"it was written for version {info.contract} of the plug-in contract, this ts-core has version "
                f"{CONTRACT_VERSION}: {'pip install --upgrade ts-core' if newer else 'upgrade the plug-in'}"
            )
        for field in ("name", "distribution", "title", "cure"):
            if not isinstance(getattr(info, field), str):
                raise PluginError(f"FrameworkInfo.{field} is {getattr(info, field)!r}, not a str")
        if not (info.file_name is None or callable(info.file_name)):
            raise PluginError(f"FrameworkInfo.file_name is {info.file_name!r}, not a function")
        for field, kind in (("classes", str), ("tags", str), ("shares", str), ("formats", Format)):
            value = getattr(info, field)
            if not isinstance(value, tuple) or not all(isinstance(item, kind) for item in value):
                raise PluginError(f"FrameworkInfo.{field} is {value!r:.200}, not a tuple of {kind.__name__}")
        return info

    def _refuse_wrappers(self, plugin: str) -> None:
        """A wrapper answers for others; here the first answer wins, and each plug-in speaks for its own objects."""
        for caller in self._manager.get_hookcallers(self._manager.get_plugin(plugin)) or ():
            for implementation in caller.get_hookimpls():
                if implementation.plugin_name == plugin and (implementation.wrapper or implementation.hookwrapper):
                    raise PluginError(f"{caller.name} is a hook wrapper: mark it with @hookimpl alone")

    def _completed(self, info: FrameworkInfo, label: str) -> FrameworkInfo:
        """Add what the metadata says of the framework, and the claims that other plug-ins made before."""
        from importlib.metadata import PackageNotFoundError
        from importlib.metadata import version as installed_version

        version = problem = None
        try:
            version = installed_version(info.distribution)
        except PackageNotFoundError:
            problem = (
                f"{info.distribution} is not installed: {info.cure or CURES.get(info.name, f'pip install {info.name}')}"
            )
        conflicts = [
            f"{name} is already claimed by {other.plugin}"
            for other in self._infos
            for name in (*info.classes, *(format.name for format in info.formats))
            if (name in other.classes and not (other.name in info.shares or info.name in other.shares))
            or name in [format.name for format in other.formats]
        ]
        conflicts += [f"{info.name} is already the framework of {o.plugin}" for o in self._infos if o.name == info.name]
        return dataclasses.replace(info, version=version, plugin=label, problem=problem, conflicts=tuple(conflicts))

    def _implementations(self, hook: str) -> tuple[_Hook, ...]:
        # pluggy has an order of its own, that of registration and `tryfirst`; here it is that which `ts plugins` shows.
        found = {each.plugin_name: each for each in getattr(self._manager.hook, hook).get_hookimpls()}
        return tuple(
            _Hook(hook, plugin, found[plugin].function, tuple(found[plugin].argnames))
            for plugin in self._working
            if plugin in found
        )

    @property
    def infos(self) -> list[FrameworkInfo]:
        """Every plug-in found, working or not, in the order in which they are asked."""
        return list(self._infos)

    def info(self, plugin: str) -> FrameworkInfo:
        """What the plug-in of this entry point says of its framework."""
        return self._working[plugin]

    def who_answers(self) -> dict[str, tuple[str, ...]]:
        """Hook → the entry-point names of the plug-ins that implement it, in the order in which they are asked."""
        return {name: tuple(hook.plugin for hook in hooks) for name, hooks in self._hooks.items()}

    def first(self, hook: str, subject: object, **arguments: Any) -> Any:
        """The first answer to a hook that is not None, or None. `subject` is the object that the question is about."""
        return self.first_with_plugin(hook, subject, **arguments)[1]

    def first_with_plugin(self, hook: str, subject: object, **arguments: Any) -> tuple[str, Any]:
        """The same, and the name of the plug-in that answered."""
        key = (hook, type(subject))
        known = self._answered.get(key)
        if known is not None and (answer := known(arguments)) is not None:
            return known.plugin, answer
        for implementation in self._hooks[hook]:
            if implementation is not known and (answer := implementation(arguments)) is not None:
                if self._alone_claims(implementation.plugin, subject):
                    self._answered[key] = implementation
                return implementation.plugin, answer
        return "", None

    def _alone_claims(self, plugin: str, subject: object) -> bool:
        return [name for name, info in self._working.items() if is_instance(subject, *info.classes)] == [plugin]

    def ask(self, plugin: str, hook: str, **arguments: Any) -> Any:
        """The answer of one plug-in to a hook; None when it does not implement it."""
        return next((own(arguments) for own in self._hooks[hook] if own.plugin == plugin), None)

    def all(self, hook: str, **arguments: Any) -> list[Any]:
        """The answers of every plug-in to a hook, in order."""
        return [implementation(arguments) for implementation in self._hooks[hook]]

    def each(self, hook: str, **arguments: Any) -> dict[str, Any]:
        """The answers of every plug-in to a hook, by the name of the plug-in's framework."""
        return {self._working[own.plugin].name: own(arguments) for own in self._hooks[hook]}


_current: PluginRegistry | None = None


def registry() -> PluginRegistry:
    """The plug-ins of this environment, loaded at the first call."""
    global _current
    if _current is None:
        _current = PluginRegistry()
    return _current


def plugins() -> list[FrameworkInfo]:
    """Every plug-in that is installed: its framework and version, its formats, and why it is broken if it is.

    Nothing is imported but the plug-ins themselves: versions come from the metadata of the installed distributions.
    """
    return registry().infos


def framework_of(obj: object) -> str | None:
    """The name of the framework whose plug-in claims the class of an object, a tensor or a network; else None."""
    return next((info.name for info in plugins() if is_instance(obj, *info.classes)), None)


def check_import(info: FrameworkInfo) -> str | None:
    """Import a framework in a process of its own; None when that works, else the last line of what went wrong."""
    import subprocess

    if info.problem:
        return info.problem
    package = info.classes[0].partition(".")[0] if info.classes else info.name
    run = subprocess.run([sys.executable, "-c", f"import {package}"], capture_output=True, text=True, check=False)  # noqa: S603 - our own interpreter, a name from a plug-in that is already loaded
    if run.returncode == 0:
        return None
    lines = [line.strip() for line in run.stderr.splitlines() if line.strip()]
    return lines[-1] if lines else f"the interpreter ended with status {run.returncode}"


def no_plugin(obj: object) -> NoPluginError:
    """The error for an object that no plug-in recognises, with what to install when that is known."""
    cls = type(obj)
    foreign = [base for base in cls.__mro__ if base.__module__.partition(".")[0] in PACKAGES]
    shown = foreign[0] if foreign else cls
    name = cls.__qualname__ if cls.__module__ == "builtins" else f"{_public_package(shown)}.{shown.__qualname__}"
    advice = f": {CURES[PACKAGES[shown.__module__.partition('.')[0]]]}" if foreign else ""
    broken = "".join(
        f"; the plug-in {i.plugin} is broken: {i.problem}" for i in plugins() if i.problem and not i.distribution
    )
    return NoPluginError(f"no plug-in handles {name}{advice}{broken}")


def framework_called(name: str) -> FrameworkInfo:
    """The plug-in for a framework of this name; the framework itself may be absent, as for work on files.

    Raises:
        ArgumentError: no plug-in knows the framework.
    """
    known = {info.name: info for info in plugins()}
    if name not in known:
        choices = ", ".join(sorted(known)) or "none is installed"
        advice = f": {CURES[name]}" if name in CURES else ""
        raise ArgumentError(f"no plug-in for a framework called {name!r} (known: {choices}){advice}")
    return known[name]


def require_framework(name: str) -> FrameworkInfo:
    """The plug-in for a framework of this name, which is installed.

    Raises:
        ArgumentError: no plug-in knows the framework.
        FrameworkMissingError: its plug-in is here, the framework is not.
    """
    info = framework_called(name)
    if info.problem:
        raise FrameworkMissingError(f"{name}: {info.problem}")
    return info


def title_of(framework: str) -> str:
    """What tables call a framework: the title that its plug-in gives it, else its name."""
    return next((info.title for info in plugins() if info.name == framework and info.title), framework)


def framework_of_tag(tag: object) -> str | None:
    """The framework that ``format`` in the metadata of a safetensors file means, ``"pt"``; None when nobody says so."""
    return next((info.name for info in plugins() if tag in info.tags), None)


def _public_package(cls: type) -> str:
    """`torch` for a class of `torch._tensor`: the part of a module's name before its first private name."""
    parts = cls.__module__.split(".")
    private = next((position for position, part in enumerate(parts) if part.startswith("_")), len(parts))
    return ".".join(parts[: max(private, 1)])
