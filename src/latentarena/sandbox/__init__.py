"""Sandboxes: programs that nobody here wrote, run where they can hurt nobody."""
