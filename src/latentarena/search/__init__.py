"""Recipes tuned: ranges of their keys are searched by short trainings on a part of the train split."""
