"""What each stage of the pipeline does: a file a stage."""
