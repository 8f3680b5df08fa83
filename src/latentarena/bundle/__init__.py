"""Bundles: what a model is outside the lab."""

from latentarena.bundle.base import AnyBundle, Bundle, Card, Curve, Provenance, Sampler
from latentarena.bundle.boxed import boxed_of, load_boxed, load_guarded
from latentarena.bundle.export import export_bundle, export_modules
from latentarena.bundle.legacy import is_legacy, load_legacy
from latentarena.bundle.native import BundleCard, NativeBundle, load_bundle, native_of, save_bundle
from latentarena.bundle.portable import PortableBundle, PortableCard, PortableModel, load_any, load_portable

__all__ = [
    "AnyBundle",
    "Bundle",
    "BundleCard",
    "Card",
    "Curve",
    "NativeBundle",
    "PortableBundle",
    "PortableCard",
    "PortableModel",
    "Provenance",
    "Sampler",
    "boxed_of",
    "export_bundle",
    "export_modules",
    "is_legacy",
    "load_any",
    "load_boxed",
    "load_bundle",
    "load_guarded",
    "load_legacy",
    "load_portable",
    "native_of",
    "save_bundle",
]
