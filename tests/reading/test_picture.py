from __future__ import annotations

import re
from xml.etree import ElementTree

from tests.model.recorded import recorded

from meshtrail.model.request import group_requests
from meshtrail.reading.draw import draw
from meshtrail.reading.picture import recorder, svg


def test_a_picture_is_whole_xml_and_loads_nothing() -> None:
    console = recorder(100)
    draw(console, group_requests(recorded("otlp-backend-none")))
    picture = svg(console, title="a broken trace")
    root = ElementTree.fromstring(picture)
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    text = "".join(root.itertext()).replace("\xa0", " ")
    assert "the headers end here: backend.default" in text
    assert "a broken trace" in text
    assert set(re.findall(r"https?://[^\"' ]+", picture)) == {"http://www.w3.org/2000/svg"}
    for loading in ("@import", "@font-face", "<script", "<image", "href"):
        assert loading not in picture
