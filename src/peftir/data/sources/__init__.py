"""Where documents come from: a file a source, and the readers that they share."""
