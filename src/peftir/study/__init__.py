"""A study's params, its seeds, and where its artefacts lie."""
