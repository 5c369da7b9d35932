"""``vaxseq convert``."""

from __future__ import annotations

from functools import partial
from typing import Annotated

import typer

from vaxseq.cli._options import (
    Columns,
    Json,
    Output,
    Overwrite,
    Quiet,
    ReaderOptions,
    Scheduler,
    Where,
    as_written,
    listed,
)


def convert(
    paths: Annotated[
        list[str] | None,
        typer.Argument(help="Sources (files, folders, globs, URLs), then the target.", show_default=False),
    ] = None,
    output: Output = None,
    sql: Annotated[str | None, typer.Option(help="A query, in place of sources.", show_default=False)] = None,
    uri: Annotated[
        str | None,
        typer.Option(
            help="Where to ask it: postgresql://user@host/database (the password from PGPASSWORD), sqlite:///file.db.",
            show_default=False,
        ),
    ] = None,
    images: Annotated[
        str | None, typer.Option(help="HEIGHTxWIDTH: the source is a folder of images.", show_default=False)
    ] = None,
    sort_by: Annotated[
        list[str] | None, typer.Option(help="Columns to sort by, separated by commas; may repeat.", show_default=False)
    ] = None,
    resample: Annotated[
        str | None,
        typer.Option(help="A grid of times: '{order_by: t, every: 10s, group_by: id}'.", show_default=False),
    ] = None,
    scheduler: Scheduler = None,
    schema: Annotated[str | None, typer.Option(help="A YAML file of names, types, bounds and categories.")] = None,
    columns: Columns = None,
    rename: Annotated[list[str] | None, typer.Option(help="old=new; may be given more than once.")] = None,
    where: Where = None,
    on_bad_rows: Annotated[str, typer.Option(help="error, or reject: to <target>.rejects.parquet.")] = "error",
    resume: Annotated[bool, typer.Option(help="Go on with an unfinished conversion.")] = True,
    overwrite: Overwrite = False,
    append: Annotated[bool, typer.Option("--append", help="Add to a folder target.")] = False,
    again: Annotated[bool, typer.Option("--again", help="Append sources once more that it has already.")] = False,
    workers: Annotated[
        int | None, typer.Option(help="Processes that read; else VAXSEQ_WORKERS, else 1.", show_default=False)
    ] = None,
    format: Annotated[str | None, typer.Option(help="The sources' format, when names don't tell.")] = None,
    target_format: Annotated[str | None, typer.Option(help="arrow or hdf5, of a folder's fragments.")] = None,
    path_column: Annotated[str | None, typer.Option(help="A column for each row's source path.")] = None,
    option: ReaderOptions = None,
    accept: Annotated[
        bool, typer.Option("--accept", help="Take all options that notices offer and that lose nothing.")
    ] = False,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Convert data of any size to a dataset that memory-maps. Killed or stopped, the same command goes on.

    The target is named last, or by --output.

    Example: vaxseq convert raw/*.csv.gz flights.arrow
    """
    from vaxseq.cli._cluster import cluster
    from vaxseq.cli._output import show
    from vaxseq.cli._reader_options import mapping, pair, read_options
    from vaxseq.convert import as_arguments, convert_accepting
    from vaxseq.convert import convert as run
    from vaxseq.errors import OptionError, printable

    given_paths = [*(paths or ()), *([as_written(output)] if output is not None else ())]
    if len(given_paths) < (2 if sql is None and uri is None else 1):
        many = f"{len(given_paths)} path{'' if len(given_paths) == 1 else 's'}"
        raise OptionError(f"convert: got {many}, expected sources and a target. Name the target last.")
    *sources, target = given_paths
    given = read_options(option)
    if images is not None:
        given["images"] = images
    if resample is not None:
        given["resample"] = mapping(resample, "--resample")
    try:
        with cluster(scheduler) as executor:
            if accept:
                run = partial(
                    convert_accepting, taken=lambda offered: _say(f"accepted: {as_arguments(offered)}", quiet)
                )
            manifest = run(
                sources or None, target, sql=sql, uri=uri, sort_by=listed(sort_by),
                executor=executor, schema=schema, columns=listed(columns),
                rename=dict(pair(one, "--rename") for one in rename or ()), where=where, on_bad_rows=on_bad_rows,
                resume=resume, overwrite=overwrite, append=append, again=again, workers=workers, format=format,
                target_format=target_format, path_column=path_column, progress=not (quiet or json), **given,
            )  # fmt: skip
    except KeyboardInterrupt:
        how = "begins again" if sql is not None and "key" not in given else "goes on where it was"
        typer.echo(f"stopped; run the same command again and {printable(target)} {how}", err=True)
        raise typer.Exit(130) from None
    left = f", {manifest.rejected_rows:,} rejected" if manifest.rejected_rows else ""
    left += f", {manifest.dropped_rows:,} dropped" if manifest.dropped_rows else ""
    size = sum(one.size_bytes for one in manifest.fragments)
    said = f"{target}: {manifest.n_rows:,} rows, {len(manifest.schema.columns)} columns, {size / 1e6:,.1f} MB{left}"
    notes = [f"notice: {one}" + (f"\n  {as_arguments(one.options)}" if one.options else "") for one in manifest.notices]
    show(said, *notes, json=json, quiet=quiet, data={"path": target, **manifest.to_dict()})


def _say(said: str, quiet: bool) -> None:
    if not quiet:
        typer.echo(said, err=True)
