"""A grant is for one workflow's folder, wherever it is named from."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from core.errors import SecretsUnreadable
from core.places import data_folder
from core.tools.secrets.declared import declared
from core.tools.secrets.grants import Grants


def test_a_grant_is_for_the_real_folder_and_for_no_other(tmp_path: Path) -> None:
    folder, other = tmp_path / "workflows" / "mail", tmp_path / "other" / "mail"
    for made in (folder, other):
        made.mkdir(parents=True)
    (tmp_path / "link").symlink_to(folder)
    grants = Grants()
    assert grants.grant(tmp_path / "link", "TOKEN")
    assert not grants.grant(folder, "TOKEN")
    assert [grant.secret for grant in grants.of(folder)] == ["TOKEN"]
    assert grants.of(other) == []
    assert [(grant.secret, grant.workflow) for grant in grants.all()] == [("TOKEN", "mail")]
    assert grants.revoke(folder, "TOKEN") and not grants.revoke(folder, "TOKEN")
    assert grants.of(folder) == [] and grants.all() == []


def test_grants_are_the_users_alone_and_others_files_grant_nothing(tmp_path: Path) -> None:
    grants = Grants()
    grants.grant(tmp_path, "TOKEN")
    (file,) = (data_folder() / "grants").glob("*.json")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    file.chmod(0o666)
    with pytest.raises(SecretsUnreadable):
        grants.of(tmp_path)


def test_a_grant_that_was_copied_to_another_folders_place_grants_nothing(tmp_path: Path) -> None:
    grants, other = Grants(), tmp_path / "other"
    other.mkdir()
    grants.grant(tmp_path, "TOKEN")
    grants.grant(other, "ELSE")
    (data_folder() / "grants" / grants._file(other).name).write_bytes(grants._file(tmp_path).read_bytes())
    with pytest.raises(SecretsUnreadable):
        grants.of(other)


def test_what_a_workflow_declares_is_read_and_what_is_no_name_is_left_out() -> None:
    assert declared(b'{"permissions": {"secrets": ["A", "B", "A", "PATH", 3, "x y"]}}') == ["A", "B"]
    for text in (b"", b"{", b'{"secrets": ["A"]}', b'{"permissions": {"secrets": "A"}}', b'["secrets"]'):
        assert declared(text) == []
