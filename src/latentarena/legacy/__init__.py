"""The 2025 form: Python submissions to that contest, read and run in boxes only. The program works without it."""
