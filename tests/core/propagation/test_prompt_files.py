"""Prompt files: as editors write them."""

import json

import pytest

from icmoe_core.propagation.prompt_files import read_prompts


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_a_byte_order_mark_makes_no_difference(tmp_path, encoding):
    path = tmp_path / "prompts.json"
    entry = {"slice": 3, "label": 2, "points": [[4, 5]]}
    path.write_text(json.dumps({"prompts": [entry]}), encoding=encoding)
    (one,) = read_prompts(path)
    assert (one.index, one.label) == (3, 2)
    assert one.prompts.points == [[4, 5]]
