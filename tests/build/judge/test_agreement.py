"""Agreement is the part of samples on which two models answer the same, also where the reference is sure."""

import numpy as np

from joulebox_build.judge.agreement import compare

REFERENCE = np.asarray([[9, 0, 0], [0, 9, 0], [0, 0.1, 0], [0.1, 0, 0]], np.float32)  # sure, sure, unsure, unsure
CANDIDATE = np.asarray([[1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 0, 0]], np.float32)
GROUPS = {"photo": np.asarray(["cat", "cat", "cup", "cup"])}


def test_answers_that_are_the_same_are_counted_by_group_and_where_the_reference_is_sure() -> None:
    found = compare(REFERENCE, CANDIDATE, sure=0.5, groups=GROUPS)
    assert (found.samples, found.agreement) == (4, 0.75)
    assert (found.sure_samples, found.sure_agreement) == (2, 1.0)
    assert found.groups == {"photo": {"cat": 1.0, "cup": 0.5}}


def test_where_the_reference_is_sure_of_nothing_that_agreement_is_unknown() -> None:
    found = compare(REFERENCE[2:], CANDIDATE[2:], sure=0.5, groups={})
    assert (found.sure_samples, found.sure_agreement) == (0, None)
