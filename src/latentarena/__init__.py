"""Latent Arena: a laboratory and an arena for small latent generative models."""

__version__ = "0.1.0"
