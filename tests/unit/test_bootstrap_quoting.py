import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slipway.bootstrap.quoting import env_file, shell_array

pytestmark = pytest.mark.unit

WORDS = st.lists(st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",))), min_size=1, max_size=5)


@settings(max_examples=60, deadline=None)
@given(WORDS)
def test_bash_reads_back_every_argument_as_it_was(words: list[str]):
    """An argument with a quote, a dollar or a line break must neither split nor run."""
    script = f"WORDS={shell_array(words)}\nprintf '%s\\0' \"${{WORDS[@]}}\""
    found = subprocess.run(["/bin/bash"], input=script.encode(), capture_output=True, check=True)
    assert found.stdout.decode().split("\0")[:-1] == words


def test_no_words_are_an_empty_array():
    assert shell_array([]) == "()"


def test_an_argument_cannot_hold_a_nul():
    with pytest.raises(ValueError, match="NUL"):
        shell_array(["a\0b"])


def test_environment_values_stand_as_they_are():
    assert env_file({"A": 'quo"ted $HOME #1', "B": ""}.items()) == 'A=quo"ted $HOME #1\nB=\n'


@pytest.mark.parametrize("value", ["a\nB=c", "a\rb"])
def test_a_line_break_cannot_smuggle_in_a_variable(value: str):
    with pytest.raises(ValueError, match="A: an environment file cannot hold a line break"):
        env_file([("A", value)])
