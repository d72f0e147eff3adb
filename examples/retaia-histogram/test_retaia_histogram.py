"""The example's own tests: the contract of a processor, and what a histogram must be."""

import json
from pathlib import Path

import pytest
import retaia_histogram
from PIL import Image

from retaia_core import MediaType, builtins
from retaia_core.hooks import plugins_from
from retaia_core.testing.conformance import ProcessorContract
from retaia_core.testing.conformance.processor import Source, run


class TestHistogram(ProcessorContract):
    @pytest.fixture
    def processor(self):
        return retaia_histogram.Histogram()

    @pytest.fixture
    def source(self, tmp_path: Path) -> Source:
        folder = tmp_path / "photos"
        folder.mkdir()
        Image.new("L", (40, 30), 128).save(folder / "grey.png")
        return Source(path=folder / "grey.png", media_type=MediaType.PHOTO)

    def test_every_pixel_is_counted_once(self, processor, work):
        """A grey picture of 40 × 30 pixels has all of them at its one brightness."""
        [file] = run(processor, work)["make_histogram"].files
        counts = json.loads(file.path.read_text())["counts"]
        assert len(counts) == 256
        assert counts[128] == sum(counts) == 1200


def test_the_tables_fit_together():
    """With the built-in tables, the profile's jobs exist and the job's output is a known kind."""
    plugins = plugins_from({"builtins": builtins, "histogram": retaia_histogram})
    catalog = plugins.catalog()
    assert "photo_histogram" in catalog.profiles
    assert catalog.job_types["make_histogram"].outputs[MediaType.PHOTO] == ("histogram",)
