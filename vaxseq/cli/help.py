"""``vaxseq help``."""

from __future__ import annotations

from typing import Annotated

import typer

from vaxseq.cli._options import Json, Quiet


def help(  # noqa: A001 - the verb's name
    topic: Annotated[str | None, typer.Argument(help="A topic; all are listed without.", show_default=False)] = None,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Read the reference: what vaxseq reads, the definition file, steps, expressions, training, errors and more.

    In a pipe a page is plain Markdown. A verb's options are shown by vaxseq VERB --help.

    Example: vaxseq help windows
    """
    import sys

    from vaxseq.cli._output import show
    from vaxseq.reference import page, topics

    if topic is None:
        from vaxseq.display.tables import Display, Heading

        headings = (Heading("topic", "code"), Heading("about"))
        listed = Display("Topics", headings, tuple(topics().items()), ("Read one with: vaxseq help TOPIC",))
        show(listed, json=json, quiet=quiet, data=topics())
        return
    text = page(topic)
    if json or not sys.stdout.isatty():
        show(text.rstrip(), json=json, quiet=quiet, data={"topic": topic, "about": topics()[topic], "text": text})
        return
    from rich.markdown import Markdown

    show(Markdown(text), json=json, quiet=quiet, data=None)
