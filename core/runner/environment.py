"""Which variables node code sees: an allow-list, so that no secret of the engine's environment reaches it by chance."""

from __future__ import annotations

from collections.abc import Mapping

NAMES = frozenset(
    [
        *("PATH", "HOME", "USER", "LOGNAME", "SHELL", "TERM", "COLORTERM", "TZ", "TMPDIR", "LANG", "LANGUAGE"),
        *("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "VIRTUAL_ENV"),
        *("PYTHONPATH", "PYTHONHOME", "PYTHONUSERBASE", "PYTHONNOUSERSITE", "PYTHONSAFEPATH", "PYTHONTZPATH"),
        *("PYTHONUTF8", "PYTHONIOENCODING", "PYTHONDONTWRITEBYTECODE", "PYTHONPYCACHEPREFIX"),
        *("PYTHONHASHSEED", "PYTHONWARNINGS", "PYTHONDEVMODE", "PYTHONMALLOC"),
        *("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"),
    ]
)
PREFIXES = ("LC_", "XDG_")
PROXIES = frozenset({"HTTP_PROXY", "HTTPS_PROXY", "FTP_PROXY", "ALL_PROXY", "NO_PROXY"})


def allowed(name: str) -> bool:
    """True for a variable that every run process may see."""
    return name in NAMES or name.startswith(PREFIXES) or name.upper() in PROXIES


def reduced(environment: Mapping[str, str], granted: Mapping[str, str] | None = None) -> dict[str, str]:
    """The allowed variables of an environment and what was granted on top."""
    kept = {name: value for name, value in environment.items() if allowed(name)}
    kept.update(granted or {})
    return kept
