"""Figures of what gittrack costs, each beside a peer or a floor measured in the same run. See README.md here."""
