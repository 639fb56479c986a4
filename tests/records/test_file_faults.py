import copy

from wattquorum.records.file_faults import HELD_MAX, PRINTED_MAX, FileFaults, file_fault


def test_a_fault_reads_as_a_sentence_with_its_row() -> None:
    fault = file_fault("direction_unknown", "direction", "up", row=7)
    assert (
        str(fault) == "row 7: direction_unknown: direction is not a direction (found: up). Use injection or withdrawal."
    )
    assert str(file_fault("file_unreadable", "file", "", "Try again.")) == (
        "file_unreadable: file cannot be read (found: nothing). Try again."
    )


def test_a_long_list_is_cut_and_says_how_much_more_there_is() -> None:
    faults = [file_fault("direction_unknown", "direction", "up", row=row) for row in range(HELD_MAX + 5)]
    raised = FileFaults("meters.csv", faults)
    lines = str(raised).splitlines()
    assert lines[0] == "meters.csv: 10,005 faults"
    assert len(lines) == 1 + PRINTED_MAX + 1
    assert lines[-1] == "  and 9,985 more"
    assert (len(raised.faults), raised.count) == (HELD_MAX, HELD_MAX + 5)


def test_one_fault_is_not_plural_and_faults_can_be_copied() -> None:
    raised = FileFaults("m.csv", [file_fault("direction_unknown", "direction", "up")])
    assert str(raised).startswith("m.csv: 1 fault\n")
    assert copy.copy(raised).faults == raised.faults
