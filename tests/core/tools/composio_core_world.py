"""Environments for the provider composio-core: one with a double of the package, one with the package itself."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
from dataclasses import dataclass
from pathlib import Path

import pytest
import requests

from core.engine.environments.cache import EnvironmentCache, Held
from core.engine.environments.making import Environments
from core.engine.environments.providers import COMPOSIO_CORE, ProviderEnvironment
from core.engine.environments.trouble import provider_problem
from core.errors import PackagesProblem

DOUBLE = Path(__file__).with_name("composio_core_double")
NO_INDEX = ("The package index could not be reached", "pip finds no package")


@dataclass
class Bare:
    """An interpreter that is always there; `releases` counts how often it was let go."""

    python: Path
    releases: int = 0

    def installed(self) -> bool:
        return True

    def hold(self) -> Bare:
        return self

    def release(self) -> None:
        self.releases += 1


def make_double(folder: Path, *, package: bool = True) -> Bare:
    """An environment in which `composio` is the double, or is missing."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    [site] = folder.glob("lib/python*/site-packages")
    # What the double needs is taken from where these tests run.
    places = [Path(requests.__file__).parent.parent, *([DOUBLE] if package else [])]
    (site / "double.pth").write_text("".join(f"{place}\n" for place in places))
    return Bare(folder / "bin" / "python")


class Real:
    """The package itself, installed by the list that Rondo has; once for all who ask for the same folder."""

    def __init__(self, folder: Path) -> None:
        self.cache = EnvironmentCache(folder)
        self.need = ProviderEnvironment(COMPOSIO_CORE, lambda key: None).need

    @classmethod
    def shared(cls, factory: pytest.TempPathFactory) -> Real:
        """The one that all workers of one run of the tests share, installed; may skip the test."""
        base = factory.getbasetemp()
        found = cls((base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "composio-core")
        found.install()
        return found

    def installed(self) -> bool:
        return self.cache.find(self.need.key) is not None

    def hold(self) -> Held | None:
        return self.cache.hold(self.need.key)

    def install(self) -> None:
        """Install it; skips the test where there is no index to install from, after one try for all tests."""
        given_up = self.cache.folder.with_name("composio-core-skipped")
        if given_up.exists():
            pytest.skip(given_up.read_text())
        found: list[BaseException] = []

        async def make() -> None:
            environments = Environments(lambda key: None, self.cache, provider_problem)
            await environments.make(self.need, COMPOSIO_CORE, lambda line: None)

        def work() -> None:
            try:
                asyncio.run(make())
            except BaseException as error:
                found.append(error)

        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
        for error in found:
            if isinstance(error, PackagesProblem) and error.cause.startswith(NO_INDEX):
                given_up.write_text(f"composio-core can't be installed here: {error.cause}")
                pytest.skip(given_up.read_text())
            raise error
