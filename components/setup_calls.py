"""The requests a server gets once it is up, as arguments of curl. Pure."""

from collections.abc import Callable, Sequence

from slipway import catalog
from slipway.platforms.workload import HttpCall

# A model is pulled in one request.
CALL_TIMEOUT_SECONDS = 7200


def client_image() -> str:
    """The pinned image of curl."""
    image = catalog.pins()["curl"].image
    if image is None:
        raise ValueError("the catalogue pins no image of curl")
    return image


def curl_arguments(calls: Sequence[HttpCall], *, base_url: str, body_file: Callable[[int], str]) -> list[str]:
    """One call after the other, each tried until the server is there; stops at the first that fails for good."""
    command = ["--fail-early"]
    for number, call in enumerate(calls):
        if number:
            command.append("--next")
        command += [
            *("--silent", "--show-error", "--fail-with-body"),
            *("--max-time", str(CALL_TIMEOUT_SECONDS)),
            *("--retry", "30", "--retry-delay", "5", "--retry-all-errors"),
            *("--request", call.method),
            *("--json", f"@{body_file(number)}"),
            f"{base_url}{call.path}",
        ]
    return command
