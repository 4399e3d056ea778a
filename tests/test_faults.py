"""The list of deliberate faults stays true to the code. `python tests/faults.py` tries them out."""

from __future__ import annotations

import pytest

from .faults import FAULTS, Fault, applied, code_of


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.what)
def test_a_fault_has_one_place_and_is_a_program(fault: Fault) -> None:
    """Its text occurs once, what takes its place differs, and the file still compiles."""
    wrong = applied(fault)
    assert wrong != code_of(fault)
    compile(wrong, fault.file, "exec")


def test_no_fault_is_listed_twice() -> None:
    assert len({fault.what for fault in FAULTS}) == len(FAULTS)
    assert len({(fault.file, fault.text, fault.wrong) for fault in FAULTS}) == len(FAULTS)


def test_a_fault_without_a_place_is_an_error() -> None:
    for text in ("no such text", "import"):
        with pytest.raises(ValueError, match=r"times in engine/rules\.py, not once"):
            applied(FAULTS[0]._replace(text=text))
