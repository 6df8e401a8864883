"""Other doors for runs: files that other programs read (`export`, `dataset`), and SQL (`sql`).

Stands on `tracker`; knows nothing of terminals.
"""
