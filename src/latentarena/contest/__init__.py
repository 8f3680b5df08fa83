"""A contest: its file, who may enter, entries, ranking, board, prediction. Imports no torch."""
