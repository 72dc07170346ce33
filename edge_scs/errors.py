"""The one exception that means "your input, and here is the mend"."""


class InputError(Exception):
    """Something the user gave cannot be used.

    The message is one line that names the file or key and says what to do about it. The command line prints it on
    stderr and exits with code 2; library callers catch it like any other exception.
    """
