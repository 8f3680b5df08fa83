"""A score card: figures with intervals, the catalogue of metrics, the words they are told in. Imports no torch."""
