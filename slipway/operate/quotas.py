"""What Service Quotas allows an account. Reads only; what it may not read, or cannot reach, is unknown."""

from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

Place = tuple[str, str]
"""A region and a quota's code."""

_CONNECT_SECONDS, _READ_SECONDS = 3, 5
_AT_ONCE = 8


def limits(places: Iterable[Place]) -> Mapping[Place, float | None]:
    """The account's limit for each quota, in the quota's own unit; None where AWS did not say.

    Without credentials, without the right ``servicequotas:GetServiceQuota``, without a network: None, never an error.
    """
    wanted = tuple(dict.fromkeys(places))
    if not wanted:
        return {}
    from botocore.exceptions import BotoCoreError  # noqa: PLC0415  # pyright: ignore[reportMissingTypeStubs]

    try:
        clients = {region: _client(region) for region in {region for region, _ in wanted}}
    except BotoCoreError:  # a profile that does not exist, say
        return dict.fromkeys(wanted)

    def ask(place: Place) -> float | None:
        region, code = place
        return _limit(clients[region], code)

    with ThreadPoolExecutor(max_workers=_AT_ONCE) as pool:
        return dict(zip(wanted, pool.map(ask, wanted), strict=True))


def _client(region: str) -> Any:
    # Importing boto3 takes a third of a second, and only this question needs it.
    import boto3  # noqa: PLC0415  # pyright: ignore[reportMissingTypeStubs]
    from botocore.config import Config  # noqa: PLC0415  # pyright: ignore[reportMissingTypeStubs]

    patience = Config(connect_timeout=_CONNECT_SECONDS, read_timeout=_READ_SECONDS, retries={"total_max_attempts": 2})
    session: Any = boto3.Session()
    return session.client("service-quotas", region_name=region, config=patience)


def _limit(client: Any, code: str) -> float | None:
    """The applied value; the default where none was ever applied."""
    from botocore.exceptions import (  # noqa: PLC0415  # pyright: ignore[reportMissingTypeStubs]
        BotoCoreError,
        ClientError,
    )

    for ask in (client.get_service_quota, client.get_aws_default_service_quota):
        try:
            return float(ask(ServiceCode="ec2", QuotaCode=code)["Quota"]["Value"])
        except ClientError as error:
            response: Any = error.response
            if response.get("Error", {}).get("Code") != "NoSuchResourceException":
                return None
        except BotoCoreError:
            return None
    return None
