"""`rondo secrets`: values come in by stdin and go out nowhere."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from core.tools.secrets import sealing
from core.tools.secrets.store import SecretStore, secrets_folder

VALUE = "a-value-nobody-sees"

Rondo = Callable[..., Any]


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Put a text on stdin."""

    def type_in(text: str) -> None:
        monkeypatch.setattr("sys.stdin", io.StringIO(text))

    return type_in


@pytest.fixture
def mail(workspace: Path) -> Path:
    folder = workspace / "workflows" / "mail"
    folder.mkdir()
    document = {"name": "mail", "nodes": [], "permissions": {"secrets": ["TOKEN"]}}
    (folder / "mail.json").write_text(json.dumps(document))
    return folder


def test_a_value_is_read_from_stdin_and_no_command_shows_it(workspace: Path, mail: Path, rondo: Rondo, typed) -> None:
    typed(f"{VALUE}\n")
    said = rondo("secrets", "set", "TOKEN")
    assert said.code == 0 and "a file of yours" in said.out and str(secrets_folder()) in said.out.replace("\n", "")
    assert SecretStore(environment={}).value("TOKEN") == VALUE
    outcomes = [said, rondo("secrets", "grant", "TOKEN", "mail"), rondo("secrets", "list")]
    assert "mail" in outcomes[2].out and "TOKEN" in outcomes[2].out
    listed = rondo("secrets", "list", "--json")
    (entry,) = listed.document
    assert (entry["name"], entry["where"], entry["environment"]) == ("TOKEN", "file", False)
    assert [(grant["name"], grant["folder"]) for grant in entry["workflows"]] == [("mail", str(mail.resolve()))]
    revoked = rondo("secrets", "revoke", "TOKEN", "mail", "--json")
    assert revoked.document["new"] is True
    removed = rondo("secrets", "remove", "TOKEN", "--json")
    assert removed.document == {"name": "TOKEN", "removed_from": "file"}
    assert rondo("secrets", "list", "--json").document == []
    for outcome in (*outcomes, listed, revoked, removed):
        assert VALUE not in outcome.out + outcome.err


def test_a_value_in_the_command_is_refused_and_not_repeated(workspace: Path, rondo: Rondo) -> None:
    outcome = rondo("secrets", "set", "TOKEN", VALUE)
    assert outcome.code == 2
    assert VALUE not in outcome.out + outcome.err
    assert SecretStore(environment={}).list() == []


@pytest.mark.parametrize(("text", "word"), [("", "empty"), ("abc\n", "shorter"), ("x" * 70_000, "longer")])
def test_what_can_not_be_kept_is_refused(workspace: Path, rondo: Rondo, typed, text: str, word: str) -> None:
    typed(text)
    outcome = rondo("secrets", "set", "TOKEN", "--json")
    assert outcome.code == 2
    error = outcome.document["error"]
    assert word in error["message"] + error["cause"]
    assert not text or text not in json.dumps(error)
    assert SecretStore(environment={}).list() == []


def test_a_grant_says_what_is_missing_yet(workspace: Path, mail: Path, rondo: Rondo) -> None:
    outcome = rondo("secrets", "grant", "OTHER", "mail")
    assert outcome.code == 0
    said = " ".join(outcome.err.split())
    assert "does not declare it yet" in said and "rondo secrets set OTHER" in said
    listed = rondo("secrets", "list")
    assert "missing" in listed.out
    assert rondo("secrets", "grant", "TOKEN", "nobody").code == 2
    assert rondo("secrets", "grant", "TOKEN", "../mail").code == 2


def test_the_environment_comes_first_and_that_is_said(
    workspace: Path, rondo: Rondo, typed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOKEN", "another-value-here")
    typed(VALUE)
    outcome = rondo("secrets", "set", "TOKEN")
    assert "comes first" in outcome.err
    listed = rondo("secrets", "list")
    assert "hidden by the environment" in " ".join(listed.out.split())
    assert "another-value-here" not in outcome.out + outcome.err + listed.out


def test_the_file_is_encrypted_changed_and_decrypted_with_a_passphrase(
    workspace: Path, rondo: Rondo, typed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sealing, "COST", 2**10)
    typed(VALUE)
    rondo("secrets", "set", "TOKEN")
    monkeypatch.setenv("RONDO_SECRETS_PASSPHRASE", "one two three")
    assert rondo("secrets", "encrypt", "--json").document == {"encrypted": True, "values": 1}
    assert VALUE not in (secrets_folder() / "secrets.json").read_text()
    monkeypatch.setenv("RONDO_SECRETS_PASSPHRASE_NEW", "four five six")
    assert rondo("secrets", "encrypt").code == 0
    wrong = rondo("secrets", "decrypt", "--json")
    assert wrong.code == 1 and wrong.document["error"]["type"] == "PassphraseWrong"
    monkeypatch.setenv("RONDO_SECRETS_PASSPHRASE", "four five six")
    assert rondo("secrets", "list", "--json").document[0]["where"] == "encrypted file"
    assert rondo("secrets", "decrypt", "--json").document == {"encrypted": False, "values": 1}
    monkeypatch.delenv("RONDO_SECRETS_PASSPHRASE")
    assert SecretStore(environment={}).value("TOKEN") == VALUE


def test_where_nobody_can_be_asked_for_the_passphrase_that_is_said(
    workspace: Path, rondo: Rondo, typed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sealing, "COST", 2**10)
    SecretStore(environment={}).file.encrypt("one two three")
    typed(VALUE)
    outcome = rondo("secrets", "set", "TOKEN", "--json")
    assert outcome.code == 4 and outcome.document["error"]["type"] == "SecretsLocked"
    assert SecretStore(environment={}).list() == []


def test_a_file_that_others_can_read_is_refused_by_every_command(workspace: Path, rondo: Rondo, typed) -> None:
    typed(VALUE)
    rondo("secrets", "set", "TOKEN")
    (secrets_folder() / "secrets.json").chmod(0o644)
    for words in (["list"], ["remove", "TOKEN"]):
        outcome = rondo("secrets", *words, "--json")
        assert outcome.code == 5 and "chmod 600" in outcome.document["error"]["next_step"]
