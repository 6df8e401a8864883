"""The crash-safe record of a run that is not committed yet."""
