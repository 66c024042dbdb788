"""A package small enough to be written by hand, so that tests install something real without any network."""

from __future__ import annotations

import zipfile
from pathlib import Path


def write_wheel(
    folder: Path, name: str = "tinything", version: str = "1.0", source: str = "WORD = 'installed'\n"
) -> Path:
    """Write a wheel with one module of that name; returns its path."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}-{version}-py3-none-any.whl"
    about = f"{name}-{version}.dist-info"
    entries = {
        f"{name}.py": source,
        f"{about}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{about}/WHEEL": "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{about}/entry_points.txt": f"[console_scripts]\n{name} = {name}:main\n",
    }
    entries[f"{about}/RECORD"] = "".join(f"{entry},,\n" for entry in [*entries, f"{about}/RECORD"])
    with zipfile.ZipFile(path, "w") as archive:
        for entry, text in entries.items():
            archive.writestr(entry, text)
    return path


def requirements(folder: Path, *lines: str) -> str:
    """A requirements.txt that asks nobody but that folder of wheels."""
    return "\n".join(["--no-index", f"--find-links {folder}", *lines]) + "\n"
