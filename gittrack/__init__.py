"""A Git-backed experiment tracker for machine learning."""
