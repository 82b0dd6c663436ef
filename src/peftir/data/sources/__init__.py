"""The sources of documents, one module each, and their shared readers."""
