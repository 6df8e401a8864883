"""Checks what people say about a run or an experiment: tags, notes, descriptions. Pure: values in, values out."""

from __future__ import annotations

from collections.abc import Mapping

from .errors import InvalidInput
from .layout import check_key

MAX_TAG_LENGTH = 100_000
MAX_NOTE_LENGTH = 1_000_000


def make_tags(tags: object) -> dict[str, str]:
    """Return tags as text by checked names; raises InvalidInput for anything that is no mapping of them."""
    if not isinstance(tags, Mapping):
        raise InvalidInput(f"tags must be a mapping of names to values, not {type(tags).__name__}")
    try:
        texts = {check_key(key, kind="tag"): str(value) for key, value in tags.items()}
    except ValueError as error:  # an integer of more digits than Python spells
        raise InvalidInput(f"a tag's value cannot be written as text: {error}") from error
    long = next((key for key, text in texts.items() if len(text) > MAX_TAG_LENGTH), None)
    if long is not None:
        raise InvalidInput(f"tag {long!r:.60} is over {MAX_TAG_LENGTH} characters long")
    return texts


def check_note(text: object) -> str:
    """Return text if it can be a note: a string of at most a million characters; raises InvalidInput otherwise."""
    if not isinstance(text, str):
        raise InvalidInput(f"a note must be a string, not {type(text).__name__}")
    if len(text) > MAX_NOTE_LENGTH:
        raise InvalidInput(f"a note of {len(text)} characters is too long", hint='run.log_text(…, "note.md")')
    return text


def check_tag_changes(tags: object) -> dict[str, str | None]:
    """Return changes to tags, where None takes one off; raises InvalidInput as make_tags does."""
    if not isinstance(tags, Mapping):
        raise InvalidInput(f"tags must be a mapping of names to values, not {type(tags).__name__}")
    kept = make_tags({key: value for key, value in tags.items() if value is not None})
    return {check_key(key, kind="tag"): kept.get(key) for key in tags}
