"""Coarser phrases: what is asked in the place of a phrase whose words the weights have never read."""

from engine.phrases.ontology import Ontology
from engine.proposing import ParentFn


def build_parent_finder(ontology: Ontology) -> ParentFn:
    """Build a function that names the nearest concept above a phrase.

    Args:
        ontology: Concepts, each below those that cover it.

    Returns:
        A function from a phrase to the name of a concept above it; None where the ontology knows none.

    >>> pets = Ontology.from_children({"animal": ["dog"], "dog": ["whippet"]})
    >>> build_parent_finder(pets)("whippet"), build_parent_finder(pets)("cup")
    ('dog', None)
    """

    def find_parent(phrase: str) -> str | None:
        parents = (parent for key in ontology.find_keys(phrase) for parent in ontology.nodes[key].parents)
        return next((ontology.nodes[parent].name for parent in parents), None)

    return find_parent
