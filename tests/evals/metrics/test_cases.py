"""Every metric on the committed cases of its official code."""

import pytest

from evals.metrics.__main__ import main
from evals.metrics.official.cases import FAMILIES, compare_family, decode_labels, find_differences, load_cases

EACH = [(family, number) for family in FAMILIES for number in range(len(load_cases(family.file)))]


@pytest.mark.parametrize(("family", "number"), EACH, ids=[f"{family.file}-{number}" for family, number in EACH])
def test_every_number_is_the_official_one(family, number):
    differences = find_differences(family, load_cases(family.file)[number])
    assert differences
    assert differences == dict.fromkeys(differences, 0)


def test_the_table_says_what_was_compared(capsys):
    main()
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2 + len(FAMILIES)
    assert all(line.endswith("| bit-equal |") for line in lines[2:])
    assert "| samschulter/omnilabeltools bfd742a, OmniLabelEval | 8 | 104 |" in lines[6]


def test_a_number_that_is_another_is_told():
    family = FAMILIES[0]
    wrong = {**load_cases(family.file)[0], "official": {"giou": 2.0, "ciou": float("nan")}}
    difference = find_differences(family, wrong)
    assert difference["giou"] > 1
    assert difference["ciou"] != difference["ciou"]
    with pytest.raises(ValueError, match="the official numbers are"):
        find_differences(family, {**wrong, "official": {"iou": 1.0}})


def test_the_cases_hold_what_metrics_stumble_over():
    """Ignored pixels, values in no class, empty masks, sums beyond float32, late objects, declared targets."""
    targets = [decode_labels(target) for case in load_cases("lisa.json") for _, target in case["pairs"]]
    assert {value for target in targets for value in set(target.ravel().tolist())} == {0, 1, 2, 255}
    assert any(not target.any() for target in targets)
    assert (
        max(sum(decode_labels(target).size for _, target in case["pairs"]) for case in load_cases("lisa.json")) > 2**24
    )
    samples = [sample for case in load_cases("rela.json") for sample in case["samples"]]
    assert {(sample["pred_nt"], sample["gt_nt"]) for sample in samples} == {(a, b) for a in (0, 1) for b in (0, 1)}
    assert any(
        decode_labels(case["target"]).shape[0] > 256
        for case in (*load_cases("jf_sav.json"), *load_cases("jf_davis.json"))
    )
    assert {len(case["ground_truths"]) for case in load_cases("cgf1.json")} == {1, 2, 3}
    assert compare_family(FAMILIES[4]).numbers == 13 * len(load_cases("omnilabel.json"))
