from collections.abc import Iterator
from functools import cache

import pytest

from sam3_tool.backends.transformers import loading


@pytest.fixture(scope="session", autouse=True)
def _share_weights() -> Iterator[None]:
    """The pages load the embedded checkpoint forty times; its weights are read once.

    Each `Sam3.load` still makes an instance of its own, so that costs are counted as a reader would see them.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loading, "load_transformers_backend", cache(loading.load_transformers_backend))
        yield
