"""What texts look like: few of them are only told by their form, many also by their length."""

import pytest

from baselines.core.forms import FEW, Form, form_of


@pytest.mark.parametrize(
    ("texts", "form"),
    [
        (["C0040398"], Form.CONCEPTS),
        (["c0040398; C0006141;"], Form.CONCEPTS),
        (['"C0040398;C0006141"', "", "  "], Form.CONCEPTS),
        (["C0040398", "C0040398 and more"], None),
        (["C004039", "D0040398"], None),
        (["what is seen?", "is it a ct?"], Form.QUESTIONS),
        (["what is seen"], None),
        (["a cyst?"], None),
        ([], None),
        ([" "], None),
        (["1"] * FEW, Form.NUMBERS),
        (["1"] * (FEW - 1), None),
        (["renal cyst"] * FEW, Form.ANSWERS),
        (["renal cyst of a kidney"] * FEW, None),
        (["chest x-ray with a large mass in it"] * FEW, Form.CAPTIONS),
        (["chest x-ray with a large mass in it"] * (FEW - 1) + [" "], None),
    ],
)
def test_form(texts, form):
    assert form_of(texts) is form
