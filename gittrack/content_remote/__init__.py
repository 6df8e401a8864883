"""Content remotes: places that keep artifacts' content, and the transfers to and from them."""

from .remote import Advance, ContentFailed, ContentRemote, RemoteUnusable, Sink

__all__ = ["Advance", "ContentFailed", "ContentRemote", "RemoteUnusable", "Sink"]
