"""The errors people see. Each message names the file or field, what was expected, and what to do."""


class GotowceError(Exception):
    """Something that cannot go on, said in one sentence. The command line ends with exit code 1."""


class InputError(GotowceError):
    """Bad input from outside: a file, a table, a parameter. The command line ends with exit code 2."""


class MissingWeightsError(GotowceError):
    """Weights that are neither on this machine nor reachable; the message says how to get them."""
