"""Feeds the gates what a fuzzer makes of honest files; `tests/gates/test_fuzz.py` runs each for a few seconds."""
