"""Studies: whole runs from recipe to report."""
