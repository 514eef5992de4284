"""Tensors that the other side lacks by nature, as MindSpore's batch norm lacks ``num_batches_tracked``."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from ts_core.contract.nouns import LayerRule


class Excuses:
    """Tells from the layer rules of all plug-ins, and the names in a layer, what that layer cannot have.

    Args:
        rules: the layer rules; by default those of every plug-in.
    """

    def __init__(self, rules: Iterable[LayerRule] | None = None) -> None:
        if rules is None:
            from ts_core.frameworks import registry

            rules = [rule for table in registry().all("layer_rules") for rule in table]
        self._rules = tuple(rules)

    def excuse(self, tensor: str, layer: Collection[str], counterpart: Collection[str]) -> str:
        """Why a layer lacks a tensor that its counterpart in another framework has; empty when it could have it.

        The layer cannot have it when every rule that fits the names in the layer, and is of the same kind as a rule
        that fits the counterpart, has no place for the tensor's role.

        Args:
            tensor: the local name, ``"num_batches_tracked"``.
            layer: the local names of what the layer does have.
            counterpart: the local names in the counterpart, `tensor` among them.
        """
        if not layer:
            return ""
        theirs = [rule for rule in self._rules if set(counterpart) <= set(rule.roles)]
        wanted = {(rule.kind, rule.roles[tensor]) for rule in theirs}
        kinds = {kind for kind, _ in wanted}
        ours = [rule for rule in self._rules if rule.kind in kinds and set(layer) <= set(rule.roles)]
        if not ours or any((rule.kind, role) in wanted for rule in ours for role in rule.roles.values()):
            return ""
        return f"{ours[0].cls} keeps no {tensor}"
