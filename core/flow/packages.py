"""Packages that code imports and that are not there: which one it is, and what to do about it."""

from __future__ import annotations

import sys
from contextvars import ContextVar

IN_RUN_PROCESS: ContextVar[bool] = ContextVar("in_run_process", default=False)
"""True in a run process, whose packages come from the workflow's requirements.txt; else a program's own Python runs."""

DISTRIBUTIONS = {
    "attr": "attrs",
    "bs4": "beautifulsoup4",
    "Crypto": "pycryptodome",
    "cv2": "opencv-python",
    "dateutil": "python-dateutil",
    "discord": "discord.py",
    "docx": "python-docx",
    "dotenv": "python-dotenv",
    "faiss": "faiss-cpu",
    "fitz": "PyMuPDF",
    "git": "GitPython",
    "jose": "python-jose",
    "jwt": "PyJWT",
    "kafka": "kafka-python",
    "ldap": "python-ldap",
    "magic": "python-magic",
    "Levenshtein": "levenshtein",
    "markdown": "Markdown",
    "mpl_toolkits": "matplotlib",
    "MySQLdb": "mysqlclient",
    "nacl": "PyNaCl",
    "OpenSSL": "pyOpenSSL",
    "PIL": "pillow",
    "pkg_resources": "setuptools",
    "pptx": "python-pptx",
    "psycopg2": "psycopg2-binary",
    "pythoncom": "pywin32",
    "ruamel": "ruamel.yaml",
    "serial": "pyserial",
    "skimage": "scikit-image",
    "sklearn": "scikit-learn",
    "slack_sdk": "slack-sdk",
    "slugify": "python-slugify",
    "socks": "PySocks",
    "telegram": "python-telegram-bot",
    "usb": "pyusb",
    "websocket": "websocket-client",
    "yaml": "PyYAML",
    "zmq": "pyzmq",
}
"""Packages whose name for the installer is not the one that is imported."""

NAMESPACES = {
    "google.cloud": "google-cloud-{}",
    "google.protobuf": "protobuf",
    "google.genai": "google-genai",
    "google.generativeai": "google-generativeai",
    "google.auth": "google-auth",
    "azure.storage": "azure-storage-{}",
    "azure.identity": "azure-identity",
}
"""Packages that share the beginning of their names; `{}` stands for the next part of the module's name."""


def distribution_of(module: str) -> str:
    """The name under which a package with that module is installed, as far as it is known."""
    parts = module.split(".")
    shared = NAMESPACES.get(".".join(parts[:2]))
    if shared is not None:
        return shared.format(parts[2] if len(parts) > 2 else "").rstrip("-")
    return DISTRIBUTIONS.get(parts[0], parts[0])


def missing_package(module: str) -> tuple[str, str]:
    """Cause and next step for a module that is in no package here."""
    package = distribution_of(module)
    if module.partition(".")[0] in sys.stdlib_module_names:
        return (
            f"It belongs to Python itself, and the Python that runs this ({sys.executable}) was made without it.",
            "Install that part of Python, or use another Python.",
        )
    if IN_RUN_PROCESS.get():
        return (
            f"The Python that runs this workflow ({sys.executable}) doesn't have the package {package}.",
            f"Add the line {package} to the workflow's requirements.txt (make the file where there is none); "
            "the next run installs what it lists into an environment of the workflow's own.",
        )
    return (
        f"This program's own Python ({sys.executable}) doesn't have the package {package}. A workflow that a program "
        "runs itself has the program's packages; its requirements.txt is not installed there.",
        f"Install it for that Python: {sys.executable} -m pip install {package}\n"
        f"or run the workflow with `rondo run`, with the line {package} in its requirements.txt.",
    )
