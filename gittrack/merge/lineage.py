"""Which revisions were made knowing which: the ones nothing was built on yet, and what two of them have in common.

A revision is known here by its tree: equal trees are one revision, whatever commits carry them. Pure; knows nothing of
what a revision says.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Node:
    """One revision: its tree, its number, its commit's time (UTC seconds) and id, and the trees it was made from.

    `previous` is empty for a first revision, and for one whose writer did not say.
    """

    tree: str
    revision: int
    time: int
    commit: str
    previous: tuple[str, ...] = ()


def find_heads(nodes: Iterable[Node]) -> list[Node]:
    """Return the revisions that no other one was made from, the last writer's last.

    One head means that nothing has to be merged. A revision above the first that names no previous one counts as made
    from all that have a smaller number: its writer is taken at their word.
    """
    known = _index(nodes)
    superseded = {tree for node in known.values() for tree in _find_previous(known, node)}
    heads = [node for tree, node in known.items() if tree not in superseded]
    return sorted(heads, key=lambda node: (node.time, node.commit))


def find_base(nodes: Iterable[Node], ours: Iterable[str], theirs: str) -> str | None:
    """Return the tree of the latest revision that both sides were made from, or None where they share none.

    `ours` are the trees of one side, which may itself be made of several. The tree returned need not be among nodes: a
    revision's previous one may lie outside of what is looked at.
    """
    known = _index(nodes)
    shared = set().union(*({tree} | _find_ancestors(known, tree) for tree in ours))
    shared &= {theirs} | _find_ancestors(known, theirs)
    # Along a line the number rises, so nothing that is shared was made from the one with the highest.
    return max(shared, key=lambda tree: (known[tree].revision if tree in known else 0, tree), default=None)


def _index(nodes: Iterable[Node]) -> dict[str, Node]:
    known: dict[str, Node] = {}
    for node in nodes:
        same = known.get(node.tree)
        if same is None or (same.time, same.commit) < (node.time, node.commit):
            known[node.tree] = node
    return known


def _find_previous(known: Mapping[str, Node], node: Node) -> tuple[str, ...]:
    if node.previous or node.revision <= 1:
        return node.previous
    return tuple(other.tree for other in known.values() if other.revision < node.revision)


def _find_ancestors(known: Mapping[str, Node], tree: str) -> set[str]:
    found: set[str] = set()
    waiting = [tree]
    while waiting:
        node = known.get(waiting.pop())
        if node is not None:
            new = [other for other in _find_previous(known, node) if other not in found and other != tree]
            found.update(new)
            waiting += new
    return found
