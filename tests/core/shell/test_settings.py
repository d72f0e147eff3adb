"""Settings: one file plus variables, validated whole."""

from __future__ import annotations

from pathlib import Path

import pytest
from attrs import fields

from retaia_core.errors import SettingsError
from retaia_core.ports.device_login import ClientSecret
from retaia_core.settings import SECTIONS, Settings, load_settings
from retaia_core.shell.clock import RandomIds
from retaia_core.shell.credentials import (
    StoredCredentials,
    local_credentials,
    read_credentials,
    write_credentials,
)
from retaia_core.shell.in_force import SettingInForce, Source, settings_in_force


def write(tmp_path: Path, text: str) -> Path:
    file = tmp_path / "retaia.toml"
    file.write_text(text, "utf-8")
    return file


class TestReading:
    def test_defaults_stand_where_nothing_is_said(self, tmp_path: Path) -> None:
        """Without a file the server is on loopback and the store is a SQLite file in the data folder."""
        settings = load_settings(data_dir=tmp_path, environ={})
        assert settings.server.host == "127.0.0.1"
        assert settings.store_url == f"sqlite:///{tmp_path / 'retaia.db'}"
        assert settings.scan.quiet_period == 300

    def test_command_line_over_variable_over_file(self, tmp_path: Path) -> None:
        """What is nearer to the person wins."""
        file = write(tmp_path, "[scan]\ninterval = 1\nquiet_period = 1\n[server]\nport = 1\n")
        settings = load_settings(
            data_dir=tmp_path,
            file=file,
            environ={"RETAIA_SCAN_INTERVAL": "2", "RETAIA_SERVER_PORT": "2"},
            overrides={("server", "port"): 3},
        )
        assert settings.scan.interval == 2
        assert settings.scan.quiet_period == 1
        assert settings.server.port == 3

    def test_lists_and_tables_come_from_variables(self, tmp_path: Path) -> None:
        """Commas part lists, and ``=`` parts the pairs of a table."""
        environ = {
            "RETAIA_PROCESSING_ENABLED": "transcribe_audio,suggest_tags",
            "RETAIA_PROCESSING_PROFILES": "video_storyboard",
            "RETAIA_AGENT_MOUNTS": "nas=/mnt/nas",
            "RETAIA_SCAN_VIDEO_LEGACY_SIDECARS": "true",
        }
        settings = load_settings(data_dir=tmp_path, environ=environ)
        assert settings.processing.enabled == ("transcribe_audio", "suggest_tags")
        assert settings.processing.profiles == ("video_storyboard",)
        assert settings.agent.mounts == {"nas": "/mnt/nas"}
        assert settings.scan.video_legacy_sidecars is True

    def test_purges(self, tmp_path: Path) -> None:
        """No proof and no policy unless a person says so; places keep their order."""
        bare = load_settings(data_dir=tmp_path, environ={}).purge
        assert (bare.require_proof, bare.policy, bare.after_days) == ("none", "off", 180)
        text = '[purge]\nrequire_proof = "copy"\n[purge.copies]\ntape-2 = "/b"\nnas = "/a"\n'
        purge = load_settings(data_dir=tmp_path, file=write(tmp_path, text), environ={}).purge
        assert (purge.require_proof, list(purge.copies)) == ("copy", ["tape-2", "nas"])


class TestRefusals:
    @pytest.mark.parametrize(
        ("key", "value"),
        [
            ("REQUIRE_PROOF", "yes"),
            ("POLICY", "true"),
            ("AFTER_DAYS", "0"),
            ("AFTER_DAYS", "36501"),
            ("COPIES", "nas=backup"),
            ("COPIES", "a b=/backup"),
        ],
    )
    def test_a_purge_is_never_set_by_mistake(self, tmp_path: Path, key: str, value: str) -> None:
        """What is not allowed is refused, and never taken for something near it."""
        with pytest.raises(SettingsError, match=f"RETAIA_PURGE_{key}"):
            load_settings(data_dir=tmp_path, environ={f"RETAIA_PURGE_{key}": value})

    def test_every_problem_is_named_at_once(self, tmp_path: Path) -> None:
        """One error names source, key, value and what is allowed, for each problem."""
        file = write(tmp_path, "[server]\nport = 99999\nhots = 'x'\n[cloud]\na = 1\n")
        with pytest.raises(SettingsError) as caught:
            load_settings(data_dir=tmp_path, file=file, environ={"RETAIA_SCAN_INTERVAL": "soon"})
        said = str(caught.value)
        assert f"{file}: server.port = 99999 is refused; allowed: 0 to 65535" in said
        assert "server.hots = 'x' is refused; allowed: the keys authenticator" in said
        assert "cloud = {'a': 1} is refused; allowed: the sections server" in said
        assert "variable RETAIA_SCAN_INTERVAL: scan.interval = 'soon' is refused" in said
        problems = caught.value.details["problems"]
        assert isinstance(problems, list)
        assert len(problems) == 4

    @pytest.mark.parametrize("text", ["[server", "\udcff", None])
    def test_a_file_that_cannot_be_read_is_named(self, tmp_path: Path, text: str | None) -> None:
        """A broken or absent file is refused by its name."""
        file = tmp_path / "retaia.toml"
        if text is not None:
            file.write_bytes(text.encode("utf-8", "surrogateescape"))
        with pytest.raises(SettingsError, match=r"retaia\.toml"):
            load_settings(data_dir=tmp_path, file=file, environ={})


class TestCredentials:
    def test_made_once_and_for_this_user_alone(self, tmp_path: Path) -> None:
        """It is made at the first start, stays, and is private to its user."""
        data_dir = tmp_path / "data"
        first = local_credentials(data_dir, RandomIds())
        assert local_credentials(data_dir, RandomIds()) == first
        assert local_credentials(tmp_path / "other", RandomIds()) != first
        assert (data_dir / "credentials.json").stat().st_mode & 0o777 == 0o600
        assert data_dir.stat().st_mode & 0o777 == 0o700

    def test_a_file_that_others_can_read_is_refused(self, tmp_path: Path) -> None:
        """A credential that is no secret is not used."""
        local_credentials(tmp_path, RandomIds())
        (tmp_path / "credentials.json").chmod(0o644)
        with pytest.raises(SettingsError, match="chmod 600"):
            local_credentials(tmp_path, RandomIds())

    def test_what_a_login_got_reads_back(self, tmp_path: Path) -> None:
        """Another login takes its place; the file stays private, and nothing else is left beside it."""
        path = tmp_path / "agent" / "agent.json"
        for secret in ("one", "two"):
            stored = StoredCredentials(
                secret=ClientSecret(client_id="c", secret_key=secret), server="http://nas:8420"
            )
            write_credentials(path, stored)
            assert read_credentials(path) == stored
        assert path.stat().st_mode & 0o777 == 0o600
        assert list(path.parent.iterdir()) == [path]

    @pytest.mark.parametrize("content", ["{", "[]", "{}", '{"person": "a", "agent": "b"}'])
    def test_what_is_no_credential_is_refused(self, tmp_path: Path, content: str) -> None:
        """Also what former versions kept."""
        path = tmp_path / "credentials.json"
        path.touch(0o600)
        path.write_text(content)
        with pytest.raises(SettingsError, match="remove it"):
            read_credentials(path)

    def test_a_damaged_file_is_named(self, tmp_path: Path) -> None:
        """Damage is said, with the way out."""
        local_credentials(tmp_path, RandomIds())
        (tmp_path / "credentials.json").write_text("{")
        with pytest.raises(SettingsError, match="remove it"):
            local_credentials(tmp_path, RandomIds())


def in_force(settings: Settings, *, places: bool = False) -> dict[str, SettingInForce]:
    found = settings_in_force(settings, places=places)
    return {f"{one.section}.{one.key}": one for one in found}


class TestInForce:
    """Every setting as it is, and where it comes from; what others must not know stays here."""

    def test_each_says_where_it_comes_from(self, tmp_path: Path) -> None:
        """Default, file by its name, variable by its own, command line; the last that spoke."""
        file = write(tmp_path, "[scan]\ninterval = 1\nquiet_period = 1\n[server]\nport = 1\n")
        environ = {"RETAIA_SCAN_INTERVAL": "2", "RETAIA_SERVER_PORT": "2"}
        settings = load_settings(
            data_dir=tmp_path, file=file, environ=environ, overrides={("server", "port"): 3}
        )
        found = in_force(settings)
        said = {key: (one.value, one.source, one.name) for key, one in found.items()}
        assert said["scan.quiet_period"] == ("1", Source.FILE, "retaia.toml")
        assert said["scan.interval"] == ("2", Source.ENVIRONMENT, "RETAIA_SCAN_INTERVAL")
        assert said["server.port"] == ("3", Source.COMMAND_LINE, "")
        assert said["server.host"] == ("127.0.0.1", Source.DEFAULT, "")
        assert in_force(settings, places=True)["scan.quiet_period"].name == str(file)

    def test_every_setting_is_there(self, tmp_path: Path) -> None:
        """Whatever a section has."""
        found = in_force(load_settings(data_dir=tmp_path, environ={}))
        keys = {f"{name}.{key.name}" for name, cls in SECTIONS.items() for key in fields(cls)}
        assert found.keys() == keys

    @pytest.mark.parametrize("places", [False, True])
    def test_what_is_kept_back(self, tmp_path: Path, places: bool) -> None:
        """Secrets always; folders of this machine where others read; that they are set is said."""
        secret = {"RETAIA_STORE_URL": "postgresql://u:hidden-word@h/x"}
        folders = {
            "RETAIA_AGENT_CREDENTIALS": "/hidden-place/a",
            "RETAIA_AGENT_WORKSPACE": "/hidden-place/b",
            "RETAIA_AGENT_MOUNTS": "nas=/hidden-place/c",
            "RETAIA_NOTIFY_FOLDER": "/hidden-place/d",
            "RETAIA_NOTIFY_PASSWORD_FILE": "/hidden-place/e",
            "RETAIA_PURGE_COPIES": "tape=/hidden-place/f",
        }
        settings = load_settings(data_dir=tmp_path, environ=secret | folders)
        found = in_force(settings, places=places)
        assert "hidden-word" not in repr(found)
        assert repr(found).count("hidden-place") == (len(folders) if places else 0)
        given = {one.name for one in found.values() if one.given and one.source != Source.DEFAULT}
        assert given == {*secret, *folders}
        assert str(tmp_path) not in repr(found)
