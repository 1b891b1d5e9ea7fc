"""The roles that labels play in convolutions and attention: what every engine asks of those operations."""

from __future__ import annotations

from fuse_ref.plan.steps import Attention, Convolve
from fuse_ref.records import dataclass

__all__ = ["AttentionRoles", "ConvolutionRoles", "attention_roles", "convolution_roles"]

Labels = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ConvolutionRoles:
    """Labels of a convolution that are no window's."""

    batch: Labels  # image and output
    groups: Labels  # image, filter and output
    channels: Labels  # image and filter: summed
    filters: Labels  # filter and output
    sources: Labels  # of the windows, in their order
    taps: Labels
    places: Labels

    @property
    def image(self) -> Labels:
        """The image's labels as engines take them."""
        return (*self.batch, *self.groups, *self.channels, *self.sources)

    @property
    def filter(self) -> Labels:
        return (*self.groups, *self.filters, *self.channels, *self.taps)

    @property
    def made(self) -> Labels:
        """The output's labels as engines make them."""
        return (*self.batch, *self.groups, *self.filters, *self.places)


def convolution_roles(operation: Convolve) -> ConvolutionRoles:
    image, weights, output = operation.image.labels, operation.filter.labels, operation.output.labels
    places = tuple(window.place for window in operation.windows)
    sources = tuple(window.source for window in operation.windows)
    taps = tuple(window.tap for window in operation.windows)
    return ConvolutionRoles(
        batch=tuple(label for label in output if label in image and label not in weights),
        groups=tuple(label for label in output if label in image and label in weights),
        channels=tuple(label for label in image if label in weights and label not in output),
        filters=tuple(label for label in output if label in weights and label not in image),
        sources=sources,
        taps=taps,
        places=places,
    )


@dataclass(frozen=True, slots=True)
class AttentionRoles:
    """Labels of an attention other than its axis."""

    batch: Labels  # output, and key or value: one set of keys for each
    rows: Labels  # query and output, neither key nor value: the places that attend
    features: Labels  # query and key: summed
    columns: Labels  # value and output, nothing else: what is averaged

    @property
    def made(self) -> Labels:
        return (*self.batch, *self.rows, *self.columns)


def attention_roles(operation: Attention) -> AttentionRoles:
    query, key, value = operation.query.labels, operation.key.labels, operation.value.labels
    output = operation.output.labels
    scored = {*query, *key}
    for operand in (operation.bias, operation.keep):
        scored.update(() if operand is None else operand.labels)
    columns = tuple(label for label in output if label in value and label not in scored)
    batch = tuple(label for label in output if label not in columns and (label in key or label in value))
    return AttentionRoles(
        batch=batch,
        rows=tuple(label for label in output if label not in columns and label not in batch),
        features=tuple(label for label in query if label in key and label not in output),
        columns=columns,
    )
