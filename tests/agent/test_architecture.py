"""What keeps the agent small: the loop fits on a screen, and importing it is cheap."""

import ast
import subprocess
import sys
from pathlib import Path

import agent
import agent.loop

HEAVY = {"torch", "torchvision", "transformers", "openai", "vllm", "gradio", "cv2", "lark", "typer", "rich"}


def test_no_function_of_the_loop_is_longer_than_fifteen_lines():
    """Docstrings not counted: what a caller may rely on takes the lines that it takes."""
    tree = ast.parse(Path(agent.loop.__file__).read_text(encoding="utf-8"))
    lengths = {
        node.name: node.body[-1].end_lineno - node.body[1].lineno + 1 + node.body[0].lineno - node.lineno
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef) and ast.get_docstring(node)
    }
    assert {"run", "watch", "advance"} <= set(lengths)
    assert {name: length for name, length in lengths.items() if length > 15} == {}


def test_importing_the_agent_loads_nothing_heavy():
    code = "import sys, agent, agent.planners.loading; print(*{name.split('.')[0] for name in sys.modules})"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert set(answer.stdout.split()) & HEAVY == set()


def test_every_public_name_is_there():
    assert all(getattr(agent, name) is not None for name in agent.__all__)
