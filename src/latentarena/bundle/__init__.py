"""Bundles: what a model is outside the lab."""

from latentarena.bundle.base import AnyBundle, Bundle, Card, Curve, Provenance, Sampler
from latentarena.bundle.door import BOXED, DATA_ONLY, OWN, Form, Trust, open_bundle
from latentarena.bundle.export import export_bundle, export_modules
from latentarena.bundle.native import BundleCard, NativeBundle, native_of, save_bundle
from latentarena.bundle.placing import placed
from latentarena.bundle.portable import PortableBundle, PortableCard, PortableModel
from latentarena.bundle.reading import refuse_bundle

__all__ = [
    "BOXED",
    "DATA_ONLY",
    "OWN",
    "AnyBundle",
    "Bundle",
    "BundleCard",
    "Card",
    "Curve",
    "Form",
    "NativeBundle",
    "PortableBundle",
    "PortableCard",
    "PortableModel",
    "Provenance",
    "Sampler",
    "Trust",
    "export_bundle",
    "export_modules",
    "native_of",
    "open_bundle",
    "placed",
    "refuse_bundle",
    "save_bundle",
]
