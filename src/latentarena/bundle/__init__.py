"""Bundles: what a model is outside the lab."""

from latentarena.bundle.native import Bundle, BundleCard, Provenance, load_bundle, save_bundle

__all__ = ["Bundle", "BundleCard", "Provenance", "load_bundle", "save_bundle"]
