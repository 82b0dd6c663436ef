"""``peftir repro``: what ``dvc repro`` would run, several stages at a time, here or on a Ray cluster."""
