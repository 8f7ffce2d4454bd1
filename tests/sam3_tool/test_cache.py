from sam3_tool.cache import ByteCache, SpillOver


def test_a_value_larger_than_the_budget_pushes_nothing_out():
    cache = ByteCache[str, bytes](4, size=len)
    cache["a"], cache["b"] = b"12", b"34"
    cache["a"] = b"12345"
    assert (cache.get("a"), cache.get("b"), cache.nbytes) == (None, b"34", 2)


def test_what_is_larger_than_the_budget_is_still_handed_out():
    cache = ByteCache[str, bytes](4, size=len)
    assert cache.get_or_compute("ab", lambda keys: [key.encode() * 5 for key in keys]) == {"a": b"aaaaa", "b": b"bbbbb"}
    assert cache.nbytes == 0


def test_what_has_no_room_in_the_overflow_is_forgotten_without_being_copied():
    copied: list[bytes] = []

    def leave(value: bytes) -> bytes:
        copied.append(value)
        return value

    shelf = ByteCache[str, bytes](3, size=len)
    table = ByteCache[str, bytes](4, size=len, spill_over=SpillOver(shelf, evict=leave, restore=bytes))
    table["a"], table["b"], table["c"] = b"1234", b"123", b"12"
    assert [key in table for key in "abc"] == [False, True, True]
    assert copied == [b"123"]
