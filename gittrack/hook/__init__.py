"""What Git's hooks ask of gittrack: whether a run vouches for a commit, what a commit carries of it, what is pushed.

Reads the index that is being committed and the history of the code; never writes either. Importing this loads nothing.
"""

from __future__ import annotations
