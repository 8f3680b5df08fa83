"""Bundles: what a model is outside the lab."""

from latentarena.bundle.boxed import boxed_of, load_boxed, load_guarded
from latentarena.bundle.export import export_bundle, export_modules
from latentarena.bundle.legacy import (
    UNVERIFIED,
    AnyModel,
    JudgedBundle,
    LegacyBundle,
    LegacyModel,
    is_legacy,
    load_legacy,
)
from latentarena.bundle.native import Bundle, BundleCard, Curve, Provenance, load_bundle, native_of, save_bundle
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
    "UNVERIFIED",
    "AnyBundle",
    "AnyModel",
    "Bundle",
    "BundleCard",
    "Curve",
    "JudgedBundle",
    "LegacyBundle",
    "LegacyModel",
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
