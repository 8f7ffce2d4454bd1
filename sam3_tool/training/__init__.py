"""How the embedded checkpoint was made: generated scenes -> questions -> losses -> train -> export.

`sam3_tool.synthetic` names and draws the world and asks about it; `batch` makes tensors of that;
`architecture` is the small network, `network` and `losses` teach it, `optimizer` and `train` run that, `export` writes
the folder that `Sam3.load` reads. Needs the `train` extra.
"""
