"""The hostile corpus: generated cases for rows 1 to 22 of the threat matrix, counted as 'contained' or not."""
