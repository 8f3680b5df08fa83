"""A whole run: a recipe trained, bundled, judged and reported; and the same again for a certificate."""
