"""Tensors that the other side lacks by nature, as MindSpore's batch norm lacks ``num_batches_tracked``."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from ts_core.contract.nouns import LayerRule
from ts_core.frameworks import registry


class Excuses:
    """Tells from the layer rules of all plug-ins, and the names in a layer, what that layer cannot have.

    Args:
        rules: the layer rules; by default those of every plug-in.

    Attributes:
        most: how many names a layer has at most that a rule fits.
    """

    def __init__(self, rules: Iterable[LayerRule] | None = None) -> None:
        if rules is None:
            rules = (rule for table in registry().all("layer_rules") for rule in table)
        self._rules = [(rule, frozenset(rule.roles)) for rule in rules]
        self.most = max((len(names) for _, names in self._rules), default=0)
        self._known: dict[tuple[str, frozenset[str], frozenset[str]], str] = {}

    def excuse(self, tensor: str, layer: Collection[str], counterpart: Collection[str]) -> str:
        """Why a layer lacks a tensor that its counterpart in another framework has; empty when it could have it.

        The layer cannot have it when every rule that fits the names in the layer, and is of the same kind as a rule
        that fits the counterpart, has no place for the tensor's role.

        Args:
            tensor: the local name, ``"num_batches_tracked"``.
            layer: the local names of what the layer does have.
            counterpart: the local names in the counterpart, `tensor` among them.
        """
        if not layer or max(len(layer), len(counterpart)) > self.most:
            return ""
        key = (tensor, frozenset(layer), frozenset(counterpart))
        if key not in self._known:
            self._known[key] = self._excuse(*key)
        return self._known[key]

    def _excuse(self, tensor: str, layer: frozenset[str], counterpart: frozenset[str]) -> str:
        wanted = {(rule.kind, rule.roles[tensor]) for rule, names in self._rules if counterpart <= names}
        kinds = {kind for kind, _ in wanted}
        ours = [rule for rule, names in self._rules if rule.kind in kinds and layer <= names]
        if not ours or any((rule.kind, role) in wanted for rule in ours for role in rule.roles.values()):
            return ""
        return f"{ours[0].cls} keeps no {tensor}"
