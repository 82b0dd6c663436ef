"""Documents, queries and judgements: their sources, and the one form that a study keeps them in."""
