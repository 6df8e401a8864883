"""Shares a store through the Git remotes its people have: fetch, join, push, and what is around that.

`link` is a store and one remote; `fetching` lets in what others pushed, `joining` makes one line of two, `pushing` goes
on until ours is in; `errand` does that in the background; `disclosure` and `agreement` are about what others get to
see. Knows nothing of terminals.
"""
