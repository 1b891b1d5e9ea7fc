"""Ten models as libraries have them, small: what the back end must leave alone, node for node."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional as F

__all__ = ["MODELS", "Model"]


@dataclass(frozen=True, slots=True)
class Model:
    """A model, and inputs of it for a batch size."""

    make: Callable[[], nn.Module]
    inputs: Callable[[int], tuple[torch.Tensor, ...]]
    attends: bool = False  # whether it writes attention out


class Decoder(nn.Module):
    """A decoder layer over a memory."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.TransformerDecoderLayer(16, 2, 32, dropout=0.0, batch_first=True)

    def forward(self, x: torch.Tensor, memory: torch.Tensor) -> torch.Tensor:
        return self.layer(x, memory)


class Residual(nn.Module):
    """Two convolutions around a shortcut, as in residual networks for images."""

    def __init__(self, given: int, made: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(given, made, 3, padding=1, stride=2, bias=False)
        self.norm1, self.norm2 = nn.BatchNorm2d(made), nn.BatchNorm2d(made)
        self.second = nn.Conv2d(made, made, 3, padding=1, bias=False)
        self.relu = nn.ReLU(inplace=True)
        self.shortcut = nn.Sequential(nn.Conv2d(given, made, 1, stride=2, bias=False), nn.BatchNorm2d(made))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out = self.relu(self.norm1(self.first(x)))
        out = self.norm2(self.second(out))
        out += self.shortcut(x)
        return self.relu(out)


class ConvNet(nn.Module):
    """An image classifier."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(inplace=True))
        self.blocks = nn.Sequential(Residual(4, 8))
        self.head = nn.Linear(8, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = F.adaptive_avg_pool2d(self.blocks(self.stem(x)), 1)
        return self.head(torch.flatten(x, 1))


class Recurrent(nn.Module):
    """A tagger over an LSTM or a GRU."""

    def __init__(self, kind: type[nn.RNNBase]) -> None:
        super().__init__()
        self.recurrent = kind(6, 7, batch_first=True)
        self.head = nn.Linear(7, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.recurrent(x)[0])


class Block(nn.Module):
    """A block of a language model with its attention written out, heads and causal mask included."""

    def __init__(self, width: int = 16, heads: int = 2, longest: int = 12) -> None:
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.projections = nn.Linear(width, 3 * width)
        self.joined = nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)
        self.dropout = nn.Dropout(0.0)
        self.register_buffer("past", torch.tril(torch.ones(longest, longest, dtype=torch.bool))[None, None])

    def attention(self, x: torch.Tensor) -> torch.Tensor:
        batch, length, width = x.shape
        split = (batch, length, self.heads, width // self.heads)
        query, key, value = (part.view(split).transpose(1, 2) for part in self.projections(x).split(width, dim=2))
        scores = query @ key.transpose(-2, -1) / math.sqrt(width // self.heads)
        scores = scores.masked_fill(~self.past[:, :, :length, :length], float("-inf"))
        made = F.softmax(scores, dim=-1) @ value
        return self.joined(made.transpose(1, 2).contiguous().view(batch, length, width))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x + self.attention(self.norm1(x))
        return x + self.dropout(self.down(F.gelu(self.up(self.norm2(x)), approximate="tanh")))


class Mixer(nn.Module):
    """Perceptrons over patches and over channels."""

    def __init__(self, patches: int = 6, channels: int = 8) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(channels), nn.LayerNorm(channels)
        self.patches = nn.Sequential(nn.Linear(patches, 12), nn.GELU(), nn.Linear(12, patches))
        self.channels = nn.Sequential(nn.Linear(channels, 16), nn.GELU(), nn.Linear(16, channels))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x + self.patches(self.norm1(x).transpose(1, 2)).transpose(1, 2)
        return x + self.channels(self.norm2(x))


class UNet(nn.Module):
    """Down, up, and a connection across."""

    def __init__(self) -> None:
        super().__init__()
        self.down = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.GroupNorm(2, 4), nn.SiLU())
        self.middle = nn.Sequential(nn.Conv2d(4, 8, 3, padding=1), nn.SiLU())
        self.up = nn.ConvTranspose2d(8, 4, 2, stride=2)
        self.last = nn.Conv2d(8, 1, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        across = self.down(x)
        x = self.up(self.middle(F.max_pool2d(across, 2)))
        return self.last(torch.cat([x, across], dim=1))


class Bag(nn.Module):
    """A text classifier over the mean of its words."""

    def __init__(self) -> None:
        super().__init__()
        self.words = nn.EmbeddingBag(20, 8, mode="mean")
        self.head = nn.Linear(8, 4)

    def forward(self, words: torch.Tensor) -> torch.Tensor:
        return F.log_softmax(self.head(self.words(words)), dim=-1)


class Autoencoder(nn.Module):
    """A variational autoencoder whose noise is an input."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder, self.mean, self.spread = nn.Linear(12, 8), nn.Linear(8, 3), nn.Linear(8, 3)
        self.decoder = nn.Sequential(nn.Linear(3, 8), nn.ReLU(), nn.Linear(8, 12))

    def forward(self, x: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
        hidden = torch.relu(self.encoder(x))
        mean, spread = self.mean(hidden), self.spread(hidden)
        made = torch.sigmoid(self.decoder(mean + noise * torch.exp(0.5 * spread)))
        loss = -0.5 * torch.sum(1 + spread - mean.pow(2) - spread.exp(), dim=1, keepdim=True)
        return torch.cat([made, loss], dim=1)


class Experts(nn.Module):
    """A mixture of experts: the two best of four for each row."""

    def __init__(self, width: int = 8, experts: int = 4) -> None:
        super().__init__()
        self.gate = nn.Linear(width, experts)
        self.up = nn.Parameter(torch.randn(experts, width, 2 * width) / 4)
        self.down = nn.Parameter(torch.randn(experts, 2 * width, width) / 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        best, chosen = torch.topk(self.gate(x), 2, dim=-1)
        weights = torch.zeros_like(self.gate(x)).scatter(-1, chosen, F.softmax(best, dim=-1))
        hidden = F.silu(torch.einsum("bd,edf->ebf", x, self.up))
        made = torch.bmm(hidden, self.down)
        return torch.einsum("be,ebd->bd", weights, made)


def _drawn(*shape: int) -> Callable[[int], tuple[torch.Tensor, ...]]:
    return lambda batch: (torch.randn(batch, *shape),)


MODELS: dict[str, Model] = {
    "transformer encoder": Model(
        lambda: nn.TransformerEncoder(nn.TransformerEncoderLayer(16, 2, 32, 0.0, batch_first=True), 1), _drawn(5, 16)
    ),
    "transformer decoder": Model(Decoder, lambda batch: (torch.randn(batch, 5, 16), torch.randn(batch, 4, 16))),
    "convolutions": Model(ConvNet, _drawn(3, 8, 8)),
    "LSTM": Model(lambda: Recurrent(nn.LSTM), _drawn(5, 6)),
    "GRU": Model(lambda: Recurrent(nn.GRU), _drawn(5, 6)),
    "language model": Model(Block, _drawn(7, 16), attends=True),
    "mixer": Model(Mixer, _drawn(6, 8)),
    "U-Net": Model(UNet, _drawn(1, 8, 8)),
    "bag of words": Model(Bag, lambda batch: (torch.randint(0, 20, (batch, 5)),)),
    "autoencoder": Model(Autoencoder, lambda batch: (torch.rand(batch, 12), torch.randn(batch, 3))),
    "experts": Model(Experts, _drawn(8)),
}
