"""Parameter-efficient tuning for information retrieval: the study's parts."""
