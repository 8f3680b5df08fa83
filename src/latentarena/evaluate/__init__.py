"""Judging a bundle: opened, gated, scored, verified, checked against a contest."""
