"""``retaia sidecars``: a person's word from the server's own machine."""

from __future__ import annotations

from pathlib import Path

from retaia_tests.machine import Machine
from retaia_tests.web_stage import photos


def test_the_word_of_a_person(tmp_path: Path) -> None:
    """Listed, attached, moved along by a batch, brought back, taken back."""
    home, inbox = tmp_path / "home", tmp_path / "storage" / "INBOX"
    home.mkdir()
    machine = Machine(home=home)
    photos(inbox, ("A.jpg", "A.png"))
    (inbox / "A.xmp").write_text("<x/>")
    assert machine.up(tmp_path / "storage").code == 0
    listed = machine.run("sidecars", "list", "--json").document["sidecars"]
    assert [(one["path"], one["reason"]) for one in listed] == [("INBOX/A.xmp", "ambiguous_parent")]
    attached = machine.run("sidecars", "attach", str(inbox / "A.xmp"), "INBOX/A.png", "--json")
    (sidecar,) = attached.document["sidecars"]
    assert (sidecar["path"], sidecar["rule"]) == ("INBOX/A.xmp", "by_person")
    assert machine.run("sidecars", "attach", "INBOX/A.xmp", "INBOX/A.jpg").code == 1
    assert machine.run("decide", "keep", "INBOX/A.png").code == 0
    assert machine.run("batch", "apply", "--yes").code == 0
    archive = tmp_path / "storage" / "ARCHIVE"
    assert {path.name for path in archive.iterdir()} == {"A.png", "A.xmp"}
    told = machine.run("history", "ARCHIVE/A.png").output
    assert "attached the sidecar 'INBOX/A.xmp'" in told
    assert machine.run("sidecars", "detach", "ARCHIVE/A.xmp").code == 0
    assert (archive / "A.xmp").exists()
    assert machine.run("sidecars", "detach", "ARCHIVE/A.xmp").code == 4
