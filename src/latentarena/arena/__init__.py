"""The arena: contests, their store, ranking and boards. Nothing but the worker needs torch."""
