"""Bundles: what a model is outside the lab."""

from latentarena.bundle.export import export_bundle, export_modules
from latentarena.bundle.native import Bundle, BundleCard, Curve, Provenance, load_bundle, save_bundle
from latentarena.bundle.portable import (
    AnyBundle,
    PortableBundle,
    PortableCard,
    PortableModel,
    Sampler,
    load_any,
    load_portable,
)

__all__ = [
    "AnyBundle",
    "Bundle",
    "BundleCard",
    "Curve",
    "PortableBundle",
    "PortableCard",
    "PortableModel",
    "Provenance",
    "Sampler",
    "export_bundle",
    "export_modules",
    "load_any",
    "load_bundle",
    "load_portable",
    "save_bundle",
]
