"""Which split an image is in: told by a hash, before anything is labelled, and the same for all near-duplicates."""

from hashlib import blake2b

from engine.media.images import Split


def choose_split(name: str, *, validation_share: float, test_share: float) -> Split:
    """Choose the split of a group of images, or of a source.

    Args:
        name: What stays together: the key of the group, or the source's name.
        validation_share: In [0, 1].
        test_share: In [0, 1].

    Returns:
        The same split for the same name, whatever else is there.

    >>> [choose_split(name, validation_share=0.25, test_share=0.25) for name in "abcdef"]
    ['val', 'train', 'test', 'train', 'test', 'test']
    """
    place = int.from_bytes(blake2b(name.encode("utf-8", "surrogateescape"), digest_size=8).digest(), "big") / 2**64
    if place < test_share:
        return "test"
    return "val" if place < test_share + validation_share else "train"
