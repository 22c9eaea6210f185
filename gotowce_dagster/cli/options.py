"""Options and arguments that several commands take."""

from typing import Annotated

import typer

Json = Annotated[bool, typer.Option("--json", help="Print JSON, for machines.")]
Key = Annotated[str, typer.Argument(help="The video's key, as `gotowce sync` shows it.")]
