"""Gates: strict readers for files from strangers, each refusal with a reason to act on. Needs no torch."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from latentarena.gates.archive import file_in, glance, open_archive
from latentarena.gates.file_set import BUNDLE, SUBMISSION, Files, FileSet
from latentarena.gates.folder import bundle_in, names_in, open_beside, open_files, open_folder

if TYPE_CHECKING:
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
    "FileSet",
    "Files",
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
    "file_in",
    "glance",
    "names_in",
    "open_archive",
    "open_beside",
    "open_files",
    "open_folder",
    "size_of",
    "stored",
]
LATER = {
    "check_card": "card",
    "Cost": "cost",
    "GraphFacts": "graph",
    "Port": "graph",
    "check_graph": "graph",
    "check_in_box": "graph",
    "Held": "size",
    "Size": "size",
    "size_of": "size",
    "stored": "size",
    "NUMBERS": "tensors",
    "StoredTensor": "tensors",
    "check_tensors": "tensors",
}
"""What needs onnx is imported once somebody asks for it: the site reads archives, and does without."""


def __getattr__(name: str) -> Any:
    if name not in LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{LATER[name]}"), name)
