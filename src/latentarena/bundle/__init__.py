"""Bundles: what a model is outside the lab."""

from latentarena.bundle.native import Bundle, BundleCard, Curve, Provenance, load_bundle, save_bundle

__all__ = ["Bundle", "BundleCard", "Curve", "Provenance", "load_bundle", "save_bundle"]
