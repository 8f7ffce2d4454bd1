"""The generated world: scenes, sprites, nouns and phrases that training and benchmarks share."""
