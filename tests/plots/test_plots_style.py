"""The style: every series differs, a shown figure has its alternative text, a folder is made."""

import matplotlib.pyplot as plt
import pytest
from PIL import Image

from tutorial_utils import plots
from tutorial_utils.plots import style


def test_every_series_has_a_style_and_the_first_28_differ():
    assert style.series_style(0) == (plots.BLUE, "-", "o", "")
    assert len({style.series_style(i) for i in range(28)}) == 28
    assert style.series_style(1000).colour in plots.PALETTE
    assert len(set(plots.PALETTE)) == len(plots.PALETTE) == 7


@pytest.fixture
def bars():
    return plots.bars({"a": 1}, title="t", label="l")


def test_show_needs_and_keeps_an_alt_text(bars, monkeypatch):
    shown = []
    monkeypatch.setattr(style, "display", lambda bundle, raw: shown.append(bundle))
    plots.show(bars, 'Bars: "a" is <1> & alone')
    assert 'alt="Bars: &quot;a&quot; is &lt;1&gt; &amp; alone"' in shown[0]["text/html"]
    assert shown[0]["text/plain"] == '[figure: Bars: "a" is <1> & alone]'
    assert plt.get_fignums() == []
    for alt in ("", "  ", "figure"):
        with pytest.raises(ValueError, match="alt must describe the figure in a sentence, not"):
            plots.show(bars, alt)


def test_save_makes_the_folder(bars, tmp_path):
    plots.save(bars, tmp_path / "new" / "f.png")
    assert Image.open(tmp_path / "new" / "f.png").format == "PNG"
