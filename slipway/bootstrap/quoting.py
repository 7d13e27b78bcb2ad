"""Quoting for the two readers of what we write: bash, and Docker's environment files."""

import shlex
from collections.abc import Iterable


def shell_array(words: Iterable[str]) -> str:
    """A bash array literal, each word taken literally. Raises ValueError for a NUL, which no argument can hold."""
    quoted: list[str] = []
    for word in words:
        if "\0" in word:
            raise ValueError("a process argument cannot hold a NUL byte")
        quoted.append(shlex.quote(word))
    return f"({' '.join(quoted)})"


def env_file(variables: Iterable[tuple[str, str]]) -> str:
    """Docker's ``--env-file``: values are taken to the end of the line as they are, without quotes.

    Raises ValueError for a value with a line break, which the format cannot hold.
    """
    lines: list[str] = []
    for name, value in variables:
        if "\n" in value or "\r" in value:
            raise ValueError(f"{name}: an environment file cannot hold a line break")
        lines.append(f"{name}={value}\n")
    return "".join(lines)
