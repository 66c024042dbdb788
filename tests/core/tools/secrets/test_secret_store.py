"""Secrets are found where they were put, files are the user's alone, and nothing is lost by mistakes."""

from __future__ import annotations

import json
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from core.errors import (
    KeyringProblem,
    PassphraseWrong,
    SecretMissing,
    SecretsLocked,
    SecretsUnreadable,
    UsageError,
)
from core.tools.secrets import sealing
from core.tools.secrets.keyring_place import KeyringPlace, find_backend
from core.tools.secrets.store import SecretStore, secrets_folder

VALUE = "correct-horse-battery"


class FakeKeyring:
    """A keyring in memory."""

    def __init__(self) -> None:
        self.kept: dict[tuple[str, str], str] = {}

    def get_password(self, service: str, username: str) -> str | None:
        return self.kept.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        self.kept[service, username] = password

    def delete_password(self, service: str, username: str) -> None:
        del self.kept[service, username]


@pytest.fixture(autouse=True)
def quick_scrypt(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sealing, "COST", 2**10)


def store_with(keyring: FakeKeyring | None = None, environment: dict[str, str] | None = None, passphrase: str = "x"):
    place = KeyringPlace(5.0, lambda: (keyring, "Fake") if keyring is not None else None)
    return SecretStore(environment=environment or {}, keyring=place, passphrase=lambda: passphrase or None)


def test_the_environment_comes_first_then_what_was_set() -> None:
    store = store_with(environment={"TOKEN": "from-environment"})
    store.set("TOKEN", VALUE)
    found = store.find("TOKEN")
    assert found is not None and (found.value, found.where) == ("from-environment", "environment")
    found = store_with().find("TOKEN")
    assert found is not None and (found.value, found.where) == (VALUE, "file")
    assert store_with().find("OTHER") is None
    assert VALUE not in repr(found)


def test_the_file_and_its_folder_are_the_users_alone() -> None:
    store = store_with()
    store.set("TOKEN", VALUE)
    path = secrets_folder() / "secrets.json"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o622])
def test_a_file_that_others_can_read_or_change_is_refused_and_left_as_it_is(mode: int) -> None:
    store = store_with()
    store.set("TOKEN", VALUE)
    before = store.file.path.read_bytes()
    store.file.path.chmod(mode)
    for act in (lambda: store.find("TOKEN"), store.list, lambda: store.set("NEW", VALUE)):
        with pytest.raises(SecretsUnreadable) as raised:
            act()
        assert "chmod 600" in raised.value.next_step
    assert store.file.path.read_bytes() == before


def test_a_link_in_its_place_is_refused(tmp_path: Path) -> None:
    store = store_with()
    store.set("TOKEN", VALUE)
    store.file.path.rename(tmp_path / "elsewhere")
    store.file.path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(SecretsUnreadable):
        store.find("TOKEN")


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"format": 1}', b'{"format": 1, "secrets": {"A": 1}}'])
def test_a_damaged_file_is_never_written_over(content: bytes) -> None:
    store = store_with()
    store.set("TOKEN", VALUE)
    store.file.path.write_bytes(content)
    for act in (lambda: store.find("TOKEN"), lambda: store.set("NEW", VALUE), lambda: store.remove("TOKEN")):
        with pytest.raises(SecretsUnreadable):
            act()
    assert store.file.path.read_bytes() == content


def test_where_there_is_a_keyring_the_value_is_there_and_not_in_the_file() -> None:
    keyring = FakeKeyring()
    store = store_with(keyring)
    assert store.set("TOKEN", VALUE) == "keyring"
    assert VALUE not in store.file.path.read_text()
    found = store.find("TOKEN")
    assert found is not None and (found.value, found.where) == (VALUE, "keyring")
    assert [(info.name, info.where) for info in store.list()] == [("TOKEN", "keyring")]
    assert store.remove("TOKEN") == "keyring"
    assert keyring.kept == {} and store.list() == []


def test_a_secret_moves_between_the_places_and_is_never_in_both() -> None:
    keyring = FakeKeyring()
    store = store_with(keyring)
    store.set("TOKEN", VALUE, "file")
    assert VALUE in store.file.path.read_text() and not keyring.kept
    store.set("TOKEN", VALUE, "keyring")
    assert VALUE not in store.file.path.read_text() and keyring.kept
    store.set("TOKEN", VALUE, "file")
    assert VALUE in store.file.path.read_text() and not keyring.kept


def test_a_keyring_that_hangs_is_given_up_and_asked_no_more() -> None:
    release = threading.Event()

    class Hanging(FakeKeyring):
        asked = 0

        def get_password(self, service: str, username: str) -> str | None:
            Hanging.asked += 1
            release.wait(60)
            return None

    place = KeyringPlace(0.05, lambda: (Hanging(), "Fake"))
    for _ in range(3):
        with pytest.raises(KeyringProblem):
            place.get("TOKEN")
    assert Hanging.asked == 1
    release.set()


def test_what_a_keyring_says_when_it_fails_is_not_repeated() -> None:
    class Talking(FakeKeyring):
        def set_password(self, service: str, username: str, password: str) -> None:
            raise RuntimeError(f"can't keep {password}")

    with pytest.raises(KeyringProblem) as raised:
        store_with(Talking()).set("TOKEN", VALUE)
    assert VALUE not in json.dumps(raised.value.to_dict())


def test_only_kinds_of_keyrings_that_encrypt_are_used(monkeypatch: pytest.MonkeyPatch) -> None:
    for kind in ("keyring.backends.null.Keyring", "keyrings.alt.file.PlaintextKeyring", "core.Anything"):
        monkeypatch.setenv("PYTHON_KEYRING_BACKEND", kind)
        assert find_backend() is None


def test_no_keyring_and_no_cipher_is_loaded_for_the_file_alone() -> None:
    code = (
        "import sys; from core.tools.secrets.store import SecretStore; s = SecretStore(environment={});"
        "s.file.put('TOKEN', 'a-value-of-it'); assert s.find('TOKEN').value == 'a-value-of-it';"
        "print([m for m in sys.modules if m.split('.')[0] in ('keyring', 'cryptography', 'secretstorage')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("name", ["", "1A", "A B", "A=B", "a\n", "é", "A" * 129, "PATH", "LD_PRELOAD", "PYTHONPATH"])
def test_names_that_can_be_no_variable_are_refused(name: str) -> None:
    with pytest.raises(UsageError):
        store_with().set(name, VALUE)


@pytest.mark.parametrize("value", ["", "zq9", "x" * 70_000, "with\0zero", "lone \udc80 surrogate"])
def test_values_that_can_not_be_kept_are_refused_without_showing_them(value: str) -> None:
    with pytest.raises(UsageError) as raised:
        store_with().set("TOKEN", value)
    assert not value or value not in json.dumps(raised.value.to_dict())
    assert not store_with().file.path.exists()


def test_what_was_never_set_can_not_be_removed() -> None:
    with pytest.raises(SecretMissing):
        store_with().remove("TOKEN")


# Under a passphrase -----------------------------------------------------------------------------------------------


def test_under_a_passphrase_no_value_is_in_the_file_and_names_can_be_listed_without_it() -> None:
    store = store_with(passphrase="one two three")
    store.set("TOKEN", VALUE)
    store.set("OTHER", VALUE * 2)
    assert store.file.encrypt("one two three") == 2
    assert VALUE not in store.file.path.read_text()
    found = store.find("TOKEN")
    assert found is not None and (found.value, found.where) == (VALUE, "encrypted file")
    store.set("THIRD", VALUE)
    assert VALUE not in store.file.path.read_text()
    without = store_with(passphrase="")
    assert [info.name for info in without.list()] == ["OTHER", "THIRD", "TOKEN"]
    with pytest.raises(SecretsLocked):
        without.find("TOKEN")
    without.remove("THIRD")
    assert [info.name for info in store.list()] == ["OTHER", "TOKEN"]


def test_a_wrong_passphrase_is_said_and_changes_nothing() -> None:
    store = store_with(passphrase="one two three")
    store.set("TOKEN", VALUE)
    store.file.encrypt("one two three")
    before = store.file.path.read_bytes()
    wrong = store_with(passphrase="one two four")
    for act in (
        lambda: wrong.find("TOKEN"),
        lambda: wrong.set("NEW", VALUE),
        lambda: wrong.file.encrypt("another one"),
        lambda: wrong.file.encrypt(None),
        lambda: wrong.file.unlock("one two four"),
    ):
        with pytest.raises(PassphraseWrong):
            act()
    assert store.file.path.read_bytes() == before
    assert store.value("TOKEN") == VALUE


def test_a_sealed_value_under_another_name_is_refused() -> None:
    store = store_with(passphrase="one two three")
    store.set("TOKEN", VALUE)
    store.set("OTHER", "quite-another-value")
    store.file.encrypt("one two three")
    document = json.loads(store.file.path.read_text())
    document["secrets"]["TOKEN"] = document["secrets"]["OTHER"]
    store.file.path.write_text(json.dumps(document))
    with pytest.raises(PassphraseWrong):
        store.find("TOKEN")


def test_the_passphrase_can_be_changed_and_taken_off() -> None:
    store = store_with(passphrase="one two three")
    store.set("TOKEN", VALUE)
    store.file.encrypt("one two three")
    store.file.encrypt("four five six")
    assert store_with(passphrase="four five six").value("TOKEN") == VALUE
    store_with(passphrase="four five six").file.encrypt(None)
    assert store_with(passphrase="").value("TOKEN") == VALUE


# Several at once --------------------------------------------------------------------------------------------------


def test_writers_in_several_processes_lose_nothing() -> None:
    code = (
        "import sys; from core.tools.secrets.store import SecretStore; s = SecretStore(environment={});"
        "[s.set(f'T{sys.argv[1]}_{n}', 'a-value-of-its-own', 'file') for n in range(15)]"
    )
    writers = [subprocess.Popen([sys.executable, "-c", code, str(number)]) for number in range(4)]
    for writer in writers:
        assert writer.wait(timeout=120) == 0
    store = store_with()
    assert len(store.list()) == 60
    assert all(store.value(info.name) == "a-value-of-its-own" for info in store.list())
    assert sorted(path.name for path in store.file.path.parent.iterdir()) == [".lock", "secrets.json"]
