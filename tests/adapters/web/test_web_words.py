"""The interface's words: complete in each language, and none that nobody says."""

from __future__ import annotations

import json
import re

import pytest
from retaia_tests.web_types import FILE, declarations

from retaia_adapters.web.site import shipped
from retaia_core.catalog import builtin_catalog
from retaia_core.domain.assets import Flag
from retaia_core.domain.facts import FACTS
from retaia_core.domain.lifecycle import State, Verdict
from retaia_core.domain.media import MediaType
from retaia_core.domain.moves import Outcome
from retaia_core.domain.sidecars import Unmatched
from retaia_core.domain.workload import WaitReason

_ROW = re.compile(r'^  ("[^"]+"|\w+): (".*"),$', re.MULTILINE)
SCRIPTS = {
    name: body.decode()
    for name, body in shipped().items()
    if name.endswith(".js") and not name.startswith("words/")
}


def words(language: str) -> dict[str, str]:
    """A catalogue."""
    text = shipped()[f"words/{language}.js"].decode()
    found = {key.strip('"'): json.loads(said) for key, said in _ROW.findall(text)}
    assert (
        len(found)
        == len(text.strip().splitlines()) - len(text.partition("{\n")[0].splitlines()) - 1
    )
    return found


EN, FR = words("en"), words("fr")


class TestWords:
    """English and French."""

    def test_both_languages_have_the_same_words(self) -> None:
        """None is missing, and none is empty."""
        assert list(EN) == list(FR)
        assert all(text.strip() for text in (*EN.values(), *FR.values()))

    @pytest.mark.parametrize("word", sorted(EN))
    def test_both_say_the_same_things(self, word: str) -> None:
        """What is put into a sentence is put into its translation, and it has as many forms."""
        places = [set(re.findall(r"\{(\w+)\}", texts[word])) for texts in (EN, FR)]
        assert places[0] == places[1]
        assert ("|" in EN[word]) == ("|" in FR[word])

    def test_every_word_that_is_said_is_there(self) -> None:
        """Whether by name or by the beginning of one."""
        for name, text in SCRIPTS.items():
            said = re.findall(r'\bt\(\s*"([\w-]+)"', text) + re.findall(
                r'(?:does|word): "(\w+)"', text
            )
            assert set(said) <= set(EN), (name, set(said) - set(EN))

    def test_no_word_is_left_over(self) -> None:
        """A word that nobody says is not translated for nothing."""
        everything = "\n".join(SCRIPTS.values())
        kinds = set(re.findall(r'\bsay\("(\w+)"', everything)) | {
            "signin",
            "error",
            "include",
            "view",
        }
        unused = {
            word
            for word in EN
            if f'"{word}"' not in everything
            and not any(word.startswith(f"{kind}_") for kind in kinds)
        }
        assert unused == set()

    def test_every_value_of_the_server_has_a_word(self) -> None:
        """States, flags, jobs, facts: nothing is shown as the program writes it."""
        catalog = builtin_catalog()
        for kind, values in {
            "state": State,
            "flag": Flag,
            "flag_help": Flag,
            "media": MediaType,
            "verdict": Verdict,
            "outcome": Outcome,
            "unmatched": Unmatched,
            "reason": WaitReason,
            "job": catalog.job_types,
            "profile": catalog.profiles,
            "fact": set(FACTS) - {"height", "gps_latitude", "gps_longitude"},
        }.items():
            missing = {str(value) for value in values if f"{kind}_{value}" not in EN}
            assert not missing, (kind, missing)


def test_the_types_are_those_of_the_document() -> None:
    """After a change there: ``PYTHONPATH=tests/support python -m retaia_tests.web_types``."""
    assert FILE.read_text("utf-8") == declarations()
