"""The reference: Markdown pages, one a topic, shown by ``vaxseq help`` and read on the web alike.

A page is a file of this folder. Its first line is its title, the line below the title says what it is about.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

from vaxseq.errors import OptionError, did_you_mean

_FOLDER = Path(__file__).parent

# The order in which a person meets the topics; others follow by name.
_ORDER = (
    "sources", "tables", "stores", "looking", "draft", "definition", "steps", "expressions", "sequence", "folds",
    "windows", "training", "store", "profile", "serving", "exporting", "extending", "commands", "python", "errors",
    "safety", "measured",
)  # fmt: skip


@cache
def topics() -> dict[str, str]:
    """Topic -> what its page is about.

    >>> topics()["windows"]
    'Windows of sensor rows: by device, over gaps and filters, with a horizon.'
    """
    found = {page.stem for page in _FOLDER.glob("*.md")}
    ordered = [*(one for one in _ORDER if one in found), *sorted(found.difference(_ORDER))]
    return {topic: _text(topic).split("\n", 3)[2] for topic in ordered}


def page(topic: str) -> str:
    """The page of a topic, in Markdown.

    Raises:
        OptionError: there is no such topic.

    >>> page("windows").splitlines()[0]
    '# Windows'
    """
    if topic not in topics():
        raise OptionError(
            f"help: no topic {topic!r}.{did_you_mean(topic, topics())} Topics: {', '.join(topics())}. "
            "A verb's options are shown by vaxseq VERB --help."
        )
    return _text(topic)


def _text(topic: str) -> str:
    return (_FOLDER / f"{topic}.md").read_text(encoding="utf-8")
