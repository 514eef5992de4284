"""Random networks, changed as people change them when they port a network, and what was really done to them.

A network is drawn as a tree of named layers. A second one is made from it: modules get other names, other nesting,
another order of definition; projections are fused or split; modules are dropped and added. Names follow habits: they
carry kernel sizes, strides, counts of channels, letters, or numbers counted through the whole network. The first is
built in torch, the second in MindSpore, and the map between the two is held against what was really done.
"""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass, field, replace

import ts_core as ts
from ts_core.errors import WeightMapError


@dataclass
class Layer:
    """A leaf: `parts` are the identities it carries, several when it is fused."""

    name: str
    kind: str
    sizes: tuple[int, ...]
    parts: tuple[int, ...]
    bias: bool = True
    kernel: int = 3
    stride: int = 1


@dataclass
class Module:
    name: str
    children: list[Layer | Module] = field(default_factory=list)


class Drawing:
    """Draws the original network."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.count = 0

    def layer(self, name: str, kind: str, *sizes: int, bias: bool = True, kernel: int = 3, stride: int = 1) -> Layer:
        self.count += 1
        return Layer(name, kind, sizes, (self.count,), bias, kernel, stride)

    def network(self) -> Module:
        width = self.rng.choice([4, 6, 8])
        root = Module("", [Module("stem", [self.layer("conv", "conv", 3, width), self.layer("norm", "bn", width)])])
        block = self.rng.choice([self.residual, self.bottleneck, self.attention, self.mixer])
        growing = self.rng.random() < 0.6
        for stage in range(self.rng.randint(1, 3)):
            wider = width * 2 if growing and stage else width
            module = Module(f"stage{stage + 1}")
            for number in range(self.rng.randint(1, 4)):
                module.children.append(Module(str(number), block(width if number == 0 else wider, wider)))
            root.children.append(module)
            width = wider
        root.children.append(self.layer("norm", "ln", width))
        root.children.append(self.layer("fc", "linear", width, 10))
        return root

    def residual(self, width: int, wider: int) -> list[Layer | Module]:
        parts: list[Layer | Module] = [
            self.layer("conv1", "conv", width, wider, bias=False),
            self.layer("bn1", "bn", wider),
            self.layer("conv2", "conv", wider, wider, bias=False),
            self.layer("bn2", "bn", wider),
        ]
        if width != wider or self.rng.random() < 0.2:
            inner = [self.layer("conv", "conv", width, wider, bias=False), self.layer("norm", "bn", wider)]
            parts.append(Module("downsample", list(inner)))
        return parts

    def bottleneck(self, width: int, wider: int) -> list[Layer | Module]:
        """Kernels of several sizes, and norms of one: their names may be all that tells them apart."""
        kernels = self.rng.choice([(1, 3, 1), (3, 1), (5, 3, 1), (1, 3, 3, 1)])
        strides = [2 if number == 1 else 1 for number in range(len(kernels))]
        parts: list[Layer | Module] = []
        for number, (kernel, stride) in enumerate(zip(kernels, strides, strict=True), 1):
            before = width if number == 1 else wider
            parts += [
                self.layer(f"conv{number}", "conv", before, wider, bias=False, kernel=kernel, stride=stride),
                self.layer(f"bn{number}", "bn", wider),
            ]
        return parts

    def attention(self, width: int, wider: int) -> list[Layer | Module]:
        projections = [self.layer(name, "linear", width, wider) for name in ("q", "k", "v")]
        return [
            self.layer("norm1", "ln", width),
            Module("attn", [*projections, self.layer("proj", "linear", wider, wider)]),
            self.layer("norm2", "ln", wider),
            Module(
                "mlp", [self.layer("fc1", "linear", wider, 2 * wider), self.layer("fc2", "linear", 2 * wider, wider)]
            ),
        ]

    def mixer(self, width: int, wider: int) -> list[Layer | Module]:
        return [
            self.layer("token", "linear", width, wider),
            self.layer("act", "prelu", wider),
            self.layer("channel", "linear", wider, wider),
            self.layer("norm", "ln", wider),
        ]


# Consistent renamings, each a style that somebody writes in.
STYLES = [
    {"stem": "first", "stage": "layers", "fc": "head", "norm": "bn", "downsample": "down_sample", "attn": "attention"},
    {"conv": "convolution", "bn": "norm", "fc": "dense", "downsample": "shortcut", "proj": "out_proj", "mlp": "ffn"},
    {"q": "query", "k": "key", "v": "value", "norm": "layer_norm", "fc": "linear", "stem": "conv_in", "act": "prelu"},
    {"stage": "block_group", "token": "mix_tokens", "channel": "mix_channels", "attn": "self_attention", "fc": "lin"},
]
NONSENSE = ["alpha", "beta_part", "gamma_unit", "delta", "omega", "zeta", "kappa", "sigma"]


class Mutation:
    """Makes another network of the drawn one."""

    def __init__(self, rng: random.Random, fresh: int) -> None:
        self.rng = rng
        self.fresh = fresh
        self.style = rng.choice([{}, *STYLES])
        self.offset = rng.choice([0, 0, 1])
        chosen = rng.sample(["rename", "renest", "reorder", "fuse", "drop", "add"], rng.randint(1, 3))
        self.does = set(chosen)
        self.nonsense: dict[str, str] = {}
        self.habit = "" if "reorder" in self.does else rng.choice(["", *HABITS])
        self.counts: Counter[str] = Counter()

    def apply(self, node: Module, top: bool = True) -> Module:
        children = [self.apply(c, top=False) if isinstance(c, Module) else replace(c) for c in node.children]
        names = [c.name for c in children]
        if "fuse" in self.does and {"q", "k", "v"} <= set(names):
            children = self.fused(children)
        if "drop" in self.does and top and len(children) > 3 and self.rng.random() < 0.5:
            del children[self.rng.randrange(1, len(children))]
        if "add" in self.does and self.rng.random() < (0.8 if top else 0.1):
            self.fresh += 1
            extra = Layer(f"extra{self.fresh}", "linear", (self.rng.randint(11, 40), 7), (self.fresh,))
            children.insert(self.rng.randrange(len(children) + 1), extra)
        if "reorder" in self.does and not top and not any(c.name.isdigit() for c in children):
            self.rng.shuffle(children)  # what carries its meaning in its name may be defined in any order
        if self.habit and not top:
            HABITS[self.habit](self, children)
        elif "rename" in self.does:
            for child in children:
                child.name = self.renamed(child.name, may_be_nonsense="reorder" not in self.does)
        if "renest" in self.does and not top and self.rng.random() < 0.4:
            children = [Module(self.rng.choice(["layers", "body", "inner"]), children)]
        if "renest" in self.does and top and self.rng.random() < 0.5:
            head = self.rng.randint(1, len(children))
            children = [Module("features", children[:head]), *children[head:]]
        return Module(node.name, children)

    def by_kernels(self, children: list[Layer | Module]) -> None:
        """``conv3x3``, ``bn3x3``: a norm is called after the convolution before it."""
        kernel = 3
        for child in _plain(children):
            kernel = child.kernel if child.kind == "conv" else kernel
            child.name = {"conv": f"conv{kernel}x{kernel}", "bn": f"bn{kernel}x{kernel}"}.get(child.kind, child.name)

    def by_letters(self, children: list[Layer | Module]) -> None:
        """``c1x1_a``, ``norm_a``."""
        number = -1
        for child in _plain(children):
            number += child.kind == "conv"
            letter = "abcdefgh"[max(number, 0)]
            shape = f"c{child.kernel}x{child.kernel}"
            child.name = {"conv": f"{shape}_{letter}", "bn": f"norm_{letter}"}.get(child.kind, child.name)

    def by_strides(self, children: list[Layer | Module]) -> None:
        """``conv_k3_s2``, ``bn_s2``."""
        stride = 1
        for child in _plain(children):
            stride = child.stride if child.kind == "conv" else stride
            names = {"conv": f"conv_k{child.kernel}_s{stride}", "bn": f"bn_s{stride}"}
            child.name = names.get(child.kind, child.name)

    def by_channels(self, children: list[Layer | Module]) -> None:
        """``conv8_16``, ``norm_8``: a norm is called after what its convolution takes in."""
        before = 0
        for child in _plain(children):
            before = child.sizes[0] if child.kind == "conv" else before
            names = {"conv": f"conv{before}_{child.sizes[-1]}", "bn": f"norm_{before}"}
            child.name = names.get(child.kind, child.name)

    def by_global_counts(self, children: list[Layer | Module]) -> None:
        """``conv2d_7``, ``batch_normalization_12``: counted through the network."""
        stems = {"conv": "conv2d", "bn": "batch_normalization", "ln": "layer_normalization", "prelu": "p_re_lu"}
        for child in _plain(children):
            stem = stems.get(child.kind, "dense")
            self.counts[stem] += 1
            child.name = f"{stem}_{self.counts[stem]}"

    def by_places(self, children: list[Layer | Module]) -> None:
        """``0``, ``1``, ``3``: a sequence in which activations count as well."""
        place = 0
        for child in _plain(children):
            child.name = str(place)
            place += 2 if child.kind == "bn" else 1

    def by_stages(self, children: list[Layer | Module]) -> None:
        """``branch2a``, ``bn_branch2a``, as in the first residual networks."""
        number = -1
        for child in _plain(children):
            number += child.kind == "conv"
            tail = f"branch2{'abcdefgh'[max(number, 0)]}"
            child.name = {"conv": f"res_{tail}", "bn": f"bn_{tail}"}.get(child.kind, child.name)

    def renamed(self, name: str, may_be_nonsense: bool) -> str:
        if name.isdigit():
            return str(int(name) + self.offset)
        stem = name.rstrip("0123456789")
        number = name[len(stem) :]
        if may_be_nonsense and stem not in "qkv" and self.rng.random() < 0.1:
            self.nonsense.setdefault(stem, self.rng.choice(NONSENSE))
        return self.nonsense.get(stem, self.style.get(stem, stem)) + number

    def fused(self, children: list[Layer | Module]) -> list[Layer | Module]:
        parts = {c.name: c for c in children if isinstance(c, Layer) and c.name in "qkv"}
        q = parts["q"]
        whole = Layer("qkv", "linear", (q.sizes[0], 3 * q.sizes[1]), sum((parts[n].parts for n in "qkv"), ()))
        return [whole if c is q else c for c in children if c is q or c.name not in ("k", "v")]


HABITS = {
    name: getattr(Mutation, f"by_{name}")
    for name in ("kernels", "letters", "strides", "channels", "global_counts", "places", "stages")
}


def _plain(children: list[Layer | Module]) -> list[Layer]:
    """The layers that a habit may name: what only words tell apart keeps its name."""
    return [c for c in children if isinstance(c, Layer) and c.name not in ("q", "k", "v", "qkv", "token", "channel")]


def built(node: Module, framework: str, places: dict[str, tuple[int, ...]]):
    """The network in a framework; `places` gets path → the identities of what stands there."""
    if framework == "torch":
        from torch import nn

        make = {
            "linear": lambda s, b, _: nn.Linear(*s, bias=b),
            "conv": lambda s, b, k: nn.Conv2d(*s, k, bias=b),
            "bn": lambda s, _b, _k: nn.BatchNorm2d(*s),
            "ln": lambda s, _b, _k: nn.LayerNorm(s),
            "prelu": lambda s, _b, _k: nn.PReLU(*s),
        }
        module = nn.Module
    else:
        from mindspore import nn

        make = {
            "linear": lambda s, b, _: nn.Dense(*s, has_bias=b),
            "conv": lambda s, b, k: nn.Conv2d(*s, k, has_bias=b),
            "bn": lambda s, _b, _k: nn.BatchNorm2d(*s),
            "ln": lambda s, _b, _k: nn.LayerNorm(s),
            "prelu": lambda s, _b, _k: nn.PReLU(*s),
        }
        module = nn.Cell

    def build(part: Layer | Module, path: str):
        if isinstance(part, Layer):
            places[path] = part.parts
            return make[part.kind](part.sizes, part.bias, part.kernel)
        net = module()
        used: set[str] = set()
        for child in part.children:
            name = child.name
            while name in used:
                name += "_b"  # as people do who need a second name
            used.add(name)
            setattr(net, name, build(child, f"{path}.{name}" if path else name))
        return net

    return build(node, "")


def outcome(seed: int) -> tuple[bool, list[str]]:
    """Whether the map is right, and the entries that are wrong although they are called certain or likely."""
    rng = random.Random(seed)
    drawing = Drawing(rng)
    original = drawing.network()
    mutation = Mutation(rng, fresh=10_000)
    changed = mutation.apply(original)
    if rng.random() < 0.5:  # whoever wrote the first one has habits as well
        own = Mutation(rng, fresh=20_000)
        own.does = set()
        if "reorder" in mutation.does and own.habit not in ("global_counts", "places"):
            own.habit = ""  # where the order of definition is none, something else has to tell
        original = own.apply(original)
    if rng.random() < 0.5:
        original, changed = changed, original
    sources: dict[str, tuple[int, ...]] = {}
    targets: dict[str, tuple[int, ...]] = {}
    source, target = built(original, "torch", sources), built(changed, "mindspore", targets)
    try:
        found = ts.weight_map(source, target)
    except WeightMapError:
        return False, []
    wrong, overconfident, placed = [], [], set()
    for entry in found:
        ours = [identity for name in _layers(entry.source) for identity in sources[name]]
        theirs = [identity for name in _layers(entry.target) for identity in targets[name]]
        placed.update(ours)
        if ours != theirs:
            wrong.append(entry)
            if entry.certainty != "guess":
                overconfident.append(f"{seed}: {entry.source} -> {entry.target}")
    both = {i for parts in sources.values() for i in parts} & {i for parts in targets.values() for i in parts}
    return not wrong and both <= placed, overconfident


def _layers(names: tuple[str, ...]) -> list[str]:
    return [name.rpartition(".")[0] for name in names]
