"""The ontology of an engine: its own copy of a file, or the embedded world's."""

from engine.phrases.ontology import Ontology
from engine.phrases.ontology_files import GENERATED_WORLD, load_ontology
from engine.store.store import EngineStore


def load_engine_ontology(store: EngineStore) -> Ontology | None:
    """Load the ontology that `engine init` was given; None where there is none.

    Raises:
        EngineError: Its copy is gone or was changed to something else.
    """
    name = store.read_settings().ontology
    if not name:
        return None
    return load_ontology(name if name == GENERATED_WORLD else str(store.folder / name))
