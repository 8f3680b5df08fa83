"""Pictures of results: charts, posters, the page of a score card, the report of a run."""
