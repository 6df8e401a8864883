"""Content remotes: places that keep artifacts' content, and the transfers to and from them."""

from .choice import NO_REMOTE, ContentPlace, find_content_place, find_content_remote
from .directory import DirectoryRemote, find_directory_remote
from .filesystem import FilesystemRemote, open_filesystem
from .incoming import Incoming, receive
from .outgoing import read_content
from .remote import Advance, ContentFailed, ContentRemote, NoContentServer, RemoteUnusable, Sink, make_place
from .transfer import Failed, Progress, Transferred, fetch_content, send_content

__all__ = [
    "NO_REMOTE",
    "Advance",
    "ContentFailed",
    "ContentPlace",
    "ContentRemote",
    "DirectoryRemote",
    "Failed",
    "FilesystemRemote",
    "Incoming",
    "NoContentServer",
    "Progress",
    "RemoteUnusable",
    "Sink",
    "Transferred",
    "fetch_content",
    "find_content_place",
    "find_content_remote",
    "find_directory_remote",
    "make_place",
    "open_filesystem",
    "read_content",
    "receive",
    "send_content",
]
