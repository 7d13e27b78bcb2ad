"""Real programs for the `servers` tier, obtained once for the whole run."""

import pytest
from debian_programs import DebianPrometheus, prometheus


@pytest.fixture(scope="session")
def real_prometheus(tmp_path_factory: pytest.TempPathFactory) -> DebianPrometheus:
    return prometheus()
