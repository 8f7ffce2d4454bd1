"""How the embedded checkpoint was made: generated scenes -> questions -> losses -> train -> export.

`vocabulary` names the world, `sprites` and `scenes` draw it, `prompts` asks about it, `batch` makes tensors of both;
`architecture` is the small network, `network` and `losses` teach it, `optimizer` and `train` run that, `export` writes
the folder that `Sam3.load` reads. Needs the `train` extra.
"""
