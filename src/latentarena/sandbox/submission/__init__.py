"""Submissions to the 2025 contest: Python that nobody here wrote. It is read and run inside a box, nowhere else."""
