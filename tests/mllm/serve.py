"""`transformers serve` again and again: a process that has its imports done, and forks itself into the server.

What is started is the server itself, in a process that can be killed like any other; the imports, ten seconds of a
processor, are paid once. Arguments: those of `transformers`. For each line on stdin a server is started; its number is
printed, and a further line once it has ended. All that the server says goes to stderr.
"""

import os
import sys
from importlib import import_module

IMPORTED = (
    *("transformers.cli.transformers", "transformers.cli.serving.server", "torch", "uvicorn"),
    *("transformers.models.auto.modeling_auto", "transformers.models.auto.processing_auto"),
    *("transformers.models.qwen3_vl.modeling_qwen3_vl", "transformers.models.qwen3_vl.processing_qwen3_vl"),
)


def fork_servers() -> None:
    """Return in each server; never in the process that starts them."""
    for _ in sys.stdin:
        server = os.fork()
        if server == 0:
            os.dup2(2, 1)
            return
        print(server, flush=True)
        os.waitpid(server, 0)
        print("ended", flush=True)
    os._exit(0)


if __name__ == "__main__":
    for module in IMPORTED:
        import_module(module)
    fork_servers()
    from transformers.cli.transformers import main

    main()
