"""A node of an ONNX graph as plain Python values: protobuf is slow to ask, and the gates ask often."""

from __future__ import annotations

from operator import itemgetter
from typing import NamedTuple

from onnx import AttributeProto, NodeProto

from latentarena.files import digest

LONGEST = 1_000  # bytes that are kept of a setting


class Node(NamedTuple):
    """A node of a graph, its parts called as ONNX calls them.

    Attributes:
        op_type: the operator.
        name: of the node; often empty.
        input, output: names of values; empty where one is left out.
        attribute: the settings, in the order of `settings`.
        settings: the same as bytes, or as their hash where these are many; sorted.
    """

    op_type: str
    name: str
    input: tuple[str, ...]
    output: tuple[str, ...]
    attribute: tuple[AttributeProto, ...]
    settings: tuple[bytes, ...]


Settings = tuple[tuple[AttributeProto, ...], tuple[bytes, ...]]  # `attribute` and `settings` of a node


def read_node(node: NodeProto, alike: dict[tuple[bytes, ...], Settings]) -> Node:
    """The same node, read once.

    Args:
        node: of a graph.
        alike: settings of nodes that were read before, by their bytes in the file's order, which the same settings
            share; added to.
    """
    attributes = node.attribute[:]
    settings = tuple([_setting(one) for one in attributes])
    held = alike.get(settings)
    if held is None:
        told = sorted(zip(settings, attributes, strict=True), key=itemgetter(0))
        held = alike[settings] = tuple([one for _, one in told]), tuple([setting for setting, _ in told])
    return Node._make((node.op_type, node.name, tuple(node.input[:]), tuple(node.output[:]), *held))


def _setting(attribute: AttributeProto) -> bytes:
    content = attribute.SerializeToString()
    return content if len(content) <= LONGEST else digest(content).encode()
