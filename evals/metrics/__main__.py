"""Every metric beside its official code on the committed cases: `python -m evals.metrics`."""

from evals.metrics.official.cases import FAMILIES, compare_family


def main() -> None:
    print("| metric | official code | cases | numbers | here |\n| --- | --- | --- | --- | --- |")
    for family in FAMILIES:
        found = compare_family(family)
        print(f"| {family.title} | {family.source} | {found.cases} | {found.numbers} | {found.verdict} |")


if __name__ == "__main__":
    main()
