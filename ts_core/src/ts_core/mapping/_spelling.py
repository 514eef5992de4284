"""How a framework would call the parameters of a layer and store them: by its layer rules, or not at all.

A framework may hold in one array what another has in several (the projections of an attention, the gates of a cell, two
biases that are added), or the other way round; :data:`~ts_core.contract.layers.KINDS` says which arrays make up which.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ts_core.contract.layers import COUNTER, KINDS, OPTIMIZER
from ts_core.contract.nouns import LayerRule, Role
from ts_core.contract.transforms import Combine, Concatenate, Each, InsertZeros, Split, Transform, chain
from ts_core.errors import WeightMapError
from ts_core.frameworks import framework_called, name_in_files, registry, require_framework
from ts_core.mapping._unstacking import STACKS, cell_role

Shape = tuple[int, ...]

_WAY_OUT = "give the network that the weights are for: ts.weight_map(source, target_net)"


@dataclass(frozen=True, slots=True)
class Known:
    """A tensor in its place: the roles that it holds in a layer of a kind.

    `present` are all roles of its layer, with the shapes of their canonical arrays.
    """

    name: str
    layer: str
    kind: str
    roles: tuple[str, ...]
    layout: Transform | None
    present: Mapping[str, Shape]


@dataclass(frozen=True, slots=True)
class Spelled:
    """What a tensor becomes: other names, by a transform; or share number `share` of `of` that one tensor joins.

    `lacking` says why it becomes nothing; `idle`, that nothing is lost by that.
    """

    names: tuple[str, ...]
    transform: Transform | None = None
    share: int = 0
    of: int = 1
    join: Transform | None = None
    lacking: str = ""
    idle: bool = False


def roles_of(role: Role | None) -> tuple[str, ...]:
    """The roles of a parameter, which may join several."""
    return role if isinstance(role, tuple) else (role,) if role else ()


@dataclass(frozen=True, slots=True)
class _Case:
    """A tensor as a framework's rule sees it: in the rule's own kind and roles."""

    known: Known
    rule: LayerRule
    roles: tuple[str, ...]
    present: Mapping[str, Shape]
    homes: Mapping[str, tuple[str, Role]]  # role → the parameter that holds it, and all roles that this one holds

    @property
    def canonical(self) -> Transform | None:
        """From the stored layout to the canonical one."""
        return self.known.layout.inverse() if self.known.layout else None


class Speller:
    """Spells in one framework.

    Raises:
        ArgumentError: no plug-in knows the framework.
    """

    def __init__(self, framework: str) -> None:
        tables = registry().each("layer_rules")
        if framework not in tables:
            require_framework(framework)
        self._info = framework_called(framework)
        self._title = self._info.title or framework
        self._rules: dict[str, LayerRule] = {}
        for rule in tables.get(framework, ()):
            if rule.roles:
                self._rules.setdefault(rule.kind, rule)

    def __call__(self, known: Known) -> Spelled:
        kind, roles, present = self._as_this_framework_has_it(known)
        rule = self._rules.get(kind)
        if rule is None:
            return _lacking(known, f"{self._title} has no layer of the kind {known.kind}")
        if rule.holds is not None and not rule.holds(present):
            shapes = ", ".join(f"{role} {shape}" for role, shape in present.items())
            return _lacking(known, f"{rule.cls} of {self._title} has no arrays of these shapes: {shapes}")
        homes = {one: (local, role) for local, role in rule.roles.items() for one in roles_of(role)}
        case = _Case(known, rule, roles, present, homes)
        try:
            found = self._joined(case) or self._split(case) or self._as_it_is(case)
        except WeightMapError as problem:  # the layout depends on more than the kind
            return _lacking(known, str(problem))
        if found is not None:
            return found
        needs = {KINDS[kind].need(role) for role in roles} if kind in KINDS else set()
        if needs == {COUNTER}:
            return Spelled((known.name,))  # who keeps none passes over it
        missing = " and ".join(role for role in roles if role not in homes) or " with ".join(roles)
        reason = f"{rule.cls} of {self._title} has no {missing}"
        return Spelled((), lacking=reason, idle=True) if needs == {OPTIMIZER} else _lacking(known, reason)

    def _as_this_framework_has_it(self, known: Known) -> tuple[str, tuple[str, ...], Mapping[str, Shape]]:
        """Kind, roles and all roles of the layer.

        A stack of one is a cell, and a cell a stack of one; a norm of one number of dimensions is that of another where
        the framework has one class for all.
        """
        kind, roles, present = known.kind, known.roles, known.present
        if kind in self._rules:
            return kind, roles, present
        cell, stack = f"{kind}_cell", kind.removesuffix("_cell")
        if kind in STACKS and {cell_role(role)[1] for role in present} == {"l0"}:
            return cell, tuple(cell_role(r)[0] for r in roles), {cell_role(r)[0]: size for r, size in present.items()}
        if stack in STACKS and stack != kind:
            return stack, tuple(f"{role}_l0" for role in roles), {f"{r}_l0": size for r, size in present.items()}
        if kind in KINDS and KINDS[kind].one_shape:
            alike = (other for other in self._rules if other in KINDS and KINDS[other].family == KINDS[kind].family)
            kind = next(alike, kind)
        return kind, roles, present

    def _joined(self, case: _Case) -> Spelled | None:
        """Share of an array that this framework has in one: parts one after another, or biases that are added."""
        if len(case.roles) != 1 or case.rule.kind not in KINDS:
            return None
        (role,), homes, present, kind = case.roles, case.homes, case.present, KINDS[case.rule.kind]
        for whole, parts in kind.joins.items():
            given = [part for part in parts if part in present]
            square = len({present[part] for part in given}) == 1 and len(set(present[given[0]])) == 1
            # Where the framework has both ways, it joins what is square.
            if role in given and whole in homes and (role not in homes or square):
                sizes = [_outputs(part, present) for part in parts]
                if 0 in sizes:
                    return None
                zeros = [InsertZeros(i, (n,)) for i, n in enumerate(sizes) if parts[i] not in present]
                names, way = self._home(case, homes[whole])
                join = chain(*zeros, Concatenate(0, tuple(sizes)), way)
                return Spelled(names, case.canonical, given.index(role), len(given), join)
        halves = _added(role) if kind.adds_biases else ()
        kept = [half for half in halves if half in homes]
        if len(kept) == 1 and all(half in present for half in halves):
            names, way = self._home(case, homes[kept[0]])
            return Spelled(names, case.canonical, halves.index(role), 2, chain(Combine((1, 1)), way))
        return None

    def _split(self, case: _Case) -> Spelled | None:
        """Several arrays, where this framework has the parts of one apart."""
        (role, *more), homes = case.roles, case.homes
        if more or role in homes or case.rule.kind not in KINDS:
            return None
        parts = KINDS[case.rule.kind].joins.get(role, ())
        if not parts or not all(part in homes and isinstance(homes[part][1], str) for part in parts):
            return None
        found = [self._home(case, homes[part]) for part in parts]
        layouts = {way for _, way in found}
        if len(layouts) > 1:
            return None
        (each,), length = layouts, case.present[role][0] // len(parts)
        cut = chain(case.canonical, Split(0, (length,) * len(parts)), Each(each) if each else None)
        return Spelled(tuple(name for names, _ in found for name in names), cut)

    def _as_it_is(self, case: _Case) -> Spelled | None:
        """The array under this framework's name; roles that one array joins, apart or together."""
        found = [case.homes[role] for role in case.roles if role in case.homes]
        if not found or len(found) < len(case.roles):
            return None
        homes = [self._home(case, home) for home in found]
        names = tuple(name for own, _ in homes for name in own)
        wholes, (whole, way) = [role for _, role in found], (found[0][1], homes[0][1])
        if len(found) > 1 and isinstance(whole, str):  # one tensor comes apart
            if len({way for _, way in homes}) > 1 or not all(isinstance(role, str) for role in wholes):
                return None
            return Spelled(names, chain(case.canonical, Each(way) if way else None))
        if isinstance(whole, str) or whole == case.roles:
            return Spelled(names[:1], chain(case.canonical, way))
        if len(found) > 1:
            return None
        return Spelled(names, case.canonical, whole.index(case.roles[0]), len(whole), way)

    def _home(self, case: _Case, home: tuple[str, Role]) -> tuple[tuple[str, ...], Transform | None]:
        """The name of an array, and how it is stored."""
        local, role = home
        layout = case.rule.layout.get(role)
        if callable(layout):
            raise WeightMapError(f"how {self._title} stores the {role} of a {case.rule.kind} depends on the layer")
        return (name_in_files(self._info, case.known.layer, local, case.rule),), layout


def _lacking(known: Known, reason: str) -> Spelled:
    return Spelled((known.name,), lacking=f"{reason}; {_WAY_OUT}")


def _outputs(role: str, present: Mapping[str, Shape]) -> int:
    """How many outputs a part has, by its array or by the weight beside it; 0 when nothing tells."""
    weight = ".".join(filter(None, (role.rpartition(".")[0], "weight")))
    return next((present[one][0] for one in (role, weight) if one in present), 0)


def _added(role: str) -> tuple[str, ...]:
    """Both biases that are added to each other, when this is one of them: ``bias_hh`` → (``bias_ih``, ``bias_hh``)."""
    for half in ("bias_ih", "bias_hh"):
        if role.startswith(half):
            return tuple(f"{one}{role.removeprefix(half)}" for one in ("bias_ih", "bias_hh"))
    return ()
