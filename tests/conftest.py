"""What every test stands on: the user's own folders and settings stay untouched."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from model_server import _running_model_server, model_server  # noqa: F401

# Daily the same examples each time, so that what fails has changed; HYPOTHESIS_PROFILE=long looks for new ones.
settings.register_profile(
    "daily", max_examples=60, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile("long", max_examples=1000, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "daily"))


# A program that is started in the background, or by nohup, has these ignored, and so would all that a test starts.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)

DISPLAY_VARIABLES = ("NO_COLOR", "FORCE_COLOR", "COLUMNS", "LINES")
MODEL_VARIABLES = ("_API_KEY", "_TOKEN", "_BASE_URL", "OLLAMA_HOST")
"""Endings of variables that no test may take over: a key that is really somebody's, or the way to a real service."""


@pytest.fixture(autouse=True)
def own_user_folders(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give each test data, state and settings folders of its own, and a calm environment."""
    home = tmp_path_factory.mktemp("user")
    for name in ("data", "state", "config", "cache"):
        monkeypatch.setenv(f"XDG_{name.upper()}_HOME", str(home / name))
    for variable in list(os.environ):
        if (
            variable.startswith(("RONDO_", "TEXTUAL_", "SSH_"))
            or variable in DISPLAY_VARIABLES
            or variable.endswith(MODEL_VARIABLES)
        ):
            monkeypatch.delenv(variable)
    monkeypatch.setenv("TZ", "UTC")
    # Nobody's real keyring is asked or changed.
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", "keyring.backends.null.Keyring")
    monkeypatch.setenv("RONDO_ENGINE_IDLE_SECONDS", "60")
    return home
