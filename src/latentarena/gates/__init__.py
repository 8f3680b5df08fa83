"""Gates: strict readers for files from strangers, each refusal with a reason to act on. Needs no torch."""

from latentarena.gates.archive import (
    BUNDLE,
    SUBMISSION,
    Files,
    Form,
    bundle_in,
    names_in,
    open_archive,
    open_beside,
    open_bundle,
    open_folder,
)
from latentarena.gates.card import check_card
from latentarena.gates.cost import Cost
from latentarena.gates.graph import GraphFacts, Port, check_graph, check_in_box
from latentarena.gates.size import Held, Size, size_of, stored
from latentarena.gates.tensors import NUMBERS, StoredTensor, check_tensors

__all__ = [
    "BUNDLE",
    "NUMBERS",
    "SUBMISSION",
    "Cost",
    "Files",
    "Form",
    "GraphFacts",
    "Held",
    "Port",
    "Size",
    "StoredTensor",
    "bundle_in",
    "check_card",
    "check_graph",
    "check_in_box",
    "check_tensors",
    "names_in",
    "open_archive",
    "open_beside",
    "open_bundle",
    "open_folder",
    "size_of",
    "stored",
]
