"""Gates: strict readers for files from strangers, each refusal with a reason that a person can act on.

Needs no torch.
"""
