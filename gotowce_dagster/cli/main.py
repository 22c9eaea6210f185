"""Turn the designator a game draws around its target into a trained detector."""

# Each command is a module of its own, imported when it is run; it reads its arguments, calls one function and
# shows the result.

import sys

import typer

from gotowce_dagster.cli import console
from gotowce_dagster.cli.lazy import lazy_group
from gotowce_dagster.core.errors import GotowceError, InputError, system_sentence

VERBS = (
    "init",
    "upgrade",
    "compare",
    "export",
    "export-model",
    "predict",
    "model-card",
    "rounds",
    "rename",
    "remove",
    "restore",
    "add",
    "sync",
    "repair",
    "doctor",
    "trust",
    "mark",
    "calibrate",
    "detect",
    "ask",
    "segment",
    "stage",
    "demo",
    "review",
)
"""Commands, in the order of the help."""

app = typer.Typer(
    cls=lazy_group("gotowce_dagster.cli", VERBS),
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    help=__doc__,
)


@app.callback()
def _gotowce() -> None:
    pass


def main() -> None:
    """Run the command line; known errors are printed as one sentence.

    Exit code 2 for bad input and for errors of the system (disk, access rights, memory), 1 for the rest.
    """
    console.print_any_name()
    try:
        app()
    except GotowceError as error:
        console.fail(str(error))
        sys.exit(2 if isinstance(error, InputError) else 1)
    except Exception as error:
        if (sentence := system_sentence(error)) is None:
            raise
        console.fail(sentence)
        sys.exit(2)


if __name__ == "__main__":
    main()
