"""Refresh the generated parts of the documentation: `python docs/generate.py`, which `make docs` runs.

A page marks such a part with a pair of comments, and the name in them is a function of `SECTIONS`:

    <!-- generated: errors -->
    ...
    <!-- end -->
"""

import ast
import json
import re
import sys
import tempfile
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from importlib import import_module
from importlib.metadata import entry_points
from math import isclose
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args, get_origin

if TYPE_CHECKING:
    from evals.studies.published import FurtherRun, PublishedRun

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
STUDIES = ROOT / "benchmarks" / "results" / "accuracy"
SPEED = ROOT / "benchmarks" / "results" / "speed"
QUERY = "the watermelons above the banana except the largest one"
PLOTS = DOCS / "assets" / "plots"
OPENAPI = DOCS / "reference" / "openapi.json"
SECTION = re.compile(r"(<!-- generated: (\S+) -->\n).*?(<!-- end -->)", re.DOTALL)
NUMBER = re.compile(r"\d+(?:\.\d+)?")
ERROR_MODULES = (
    "agent.core.errors",
    "agent.models.base",
    "evals.errors",
    "demo.sessions",
    "demo.requests",
    "annotate.errors",
    "engine.errors",
    "sam3_tool.network.fetching",
    "serve.http.errors",
)
"""Where errors are defined, beside `sam3_tool.errors`."""
FOLDERS_OF = ("agent", "sam3_tool", "serve", "demo", "annotate", "engine", "evals")
"""Packages whose folders the architecture page lists."""
MEASURED = {"result-example"}
"""Sections whose numbers come from the network, so another processor may differ in the last digits."""


# Markdown


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def escape_cell(text: str) -> str:
    """Return the text on one line, with bars and angle brackets that Markdown leaves alone."""
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")


def code(text: str) -> str:
    """Return the text as inline code, or nothing for nothing."""
    return f"`{text}`" if text else ""


def fence(language: str, text: str) -> str:
    """Return a fenced block."""
    return f"```{language}\n{text}\n```"


def first_paragraph(docstring: str | None) -> str:
    """Return the first paragraph of a docstring on one line."""
    return " ".join((docstring or "").strip().split("\n\n")[0].split())


# command line


def command_line() -> str:
    """Return every command with its arguments and options."""
    import typer

    from agent.cli.main import app

    return "\n\n".join(_describe_command(path, command) for path, command in walk_commands(typer.main.get_command(app)))


def walk_commands(command: Any, path: str = "sam3-agent") -> Iterator[tuple[str, Any]]:
    """Yield each command that can be run, with the words that run it."""
    import typer

    if not hasattr(command, "list_commands"):
        yield path, command
        return
    context = typer.Context(command, info_name=path)
    for name in command.list_commands(context):
        inner = command.get_command(context, name)
        if inner is not None and not inner.hidden:
            yield from walk_commands(inner, f"{path} {name}")


def _describe_command(path: str, command: Any) -> str:
    arguments = [param for param in command.params if param.param_type_name == "argument"]
    options = [param for param in command.params if param.param_type_name == "option" and "--help" not in param.opts]
    usage = " ".join([path, *(_argument_name(param) for param in arguments), *(["[OPTIONS]"] if options else [])])
    about = [escape_cell(part) for part in (command.help or "").split("\n\n")]
    parts = [f"## {path.removeprefix('sam3-agent ')}", fence("text", usage), *about]
    if arguments:
        rows = [[code(_argument_name(param)), escape_cell(getattr(param, "help", "") or "")] for param in arguments]
        parts.append(table(["argument", "meaning"], rows))
    panels = dict.fromkeys(getattr(param, "rich_help_panel", None) or "Options" for param in options)
    for panel in panels:
        chosen = [param for param in options if (getattr(param, "rich_help_panel", None) or "Options") == panel]
        parts.append(table([panel.lower(), "value", "meaning"], map(_option_row, chosen)))
    return "\n\n".join(parts)


def _argument_name(param: Any) -> str:
    name = param.name.upper()
    if param.nargs == -1:
        return f"{name}..."
    return name if param.required else f"[{name}]"


def _option_row(param: Any) -> list[str]:
    names = ", ".join(code(name) for name in [*param.opts, *param.secondary_opts])
    kind = param.metavar or ("" if param.is_flag else _value_of(param.type_descriptor.annotation))
    about = (param.help or "").rstrip()
    default = param.default if getattr(param, "show_default", False) and not callable(param.default) else None
    note = f" Default: `{default}`." if default not in (None, False, "", ()) and "default" not in about else ""
    required = " Required." if param.required else ""
    return [names, code(kind.replace("|", "\\|")), escape_cell(about) + note + required]


def _value_of(annotation: Any) -> str:
    """Return what an option takes, e.g. 'number' or 'workspace|paper'."""
    if get_origin(annotation) is Literal:
        return "|".join(map(str, get_args(annotation)))
    if get_origin(annotation) is list:
        return f"{_value_of(*get_args(annotation))} …"
    return {Path: "path", str: "text", int: "integer", float: "number"}.get(annotation, "value")


# tools


def workspace_tools() -> str:
    """Return the tools of the default toolset."""
    from agent import WORKSPACE

    return "\n\n".join(map(_describe_tool, WORKSPACE.tools))


def reading_tool() -> str:
    """Return the tool that reads."""
    from agent.tools.reading.tool import ReadText

    return _describe_tool(ReadText)


def paper_tools() -> str:
    """Return the tools of the published toolset."""
    from agent import PAPER

    return "\n\n".join(map(_describe_tool, PAPER.tools))


def video_tools() -> str:
    """Return the tools of the toolset for videos that the default toolset has not."""
    from agent import VIDEO, WORKSPACE

    return "\n\n".join(_describe_tool(tool) for tool in VIDEO.tools if tool not in WORKSPACE.tools)


def _describe_tool(tool: Any) -> str:
    schema = tool.to_planner_schema()["function"]
    fields, required = schema["parameters"].get("properties", {}), schema["parameters"].get("required", [])
    parts = [f"### {schema['name']}", schema["description"]]
    if fields:
        rows = [
            [code(name), escape_cell(_type_of(field)), _default_of(name, field, required), _meaning_of(field)]
            for name, field in fields.items()
        ]
        parts.append(table(["argument", "type", "default", "meaning"], rows))
    if tool.aliases:
        parts.append(f"Also understood: {', '.join(map(code, tool.aliases))}.")
    return "\n\n".join(parts)


def _type_of(field: Mapping[str, Any]) -> str:
    if "enum" in field:
        return ", ".join(code(str(value)) for value in field["enum"])
    if "anyOf" in field:
        return " or ".join(_type_of(part) for part in field["anyOf"])
    if field.get("type") == "array":
        return f"list of {_type_of(field.get('items', {}))}"
    return str(field.get("type", "object"))


def _default_of(name: str, field: Mapping[str, Any], required: Sequence[str]) -> str:
    return "required" if name in required else code(json.dumps(field.get("default")))


def _meaning_of(field: Mapping[str, Any]) -> str:
    return escape_cell(field.get("description", ""))


# result.json


def result_schema() -> str:
    """Return the fields of result.json, and its JSON schema."""
    from agent.report.result import Result

    schema = Result.model_json_schema()
    return f'??? note "JSON schema"\n\n{_indent(fence("json", json.dumps(schema, indent=2)))}'


def result_example() -> str:
    """Return the result.json of the example query, with its run lengths cut short and its times rounded."""
    from agent import GrammarPlanner, Task, run
    from agent.report.result import Result
    from sam3_tool import Image, Sam3

    task = Task(Image.open(ROOT / "examples" / "scene.png"), QUERY)
    found = Result.from_episode(run(task, GrammarPlanner(), Sam3.load("tiny")), seconds=5.2).model_dump(mode="json")
    found["masks"] = found["masks"][:1]
    for mask in found["masks"]:
        mask["score"] = round(mask["score"], 2)
        mask["bbox"] = [round(edge, 1) for edge in mask["bbox"]]
        mask["segmentation"]["counts"] = "…"
    found["usage"]["seconds"] = 0.4
    return fence("json", _inline_short_lists(json.dumps(found, indent=2, ensure_ascii=False)))


def _inline_short_lists(text: str) -> str:
    """Return JSON with each list of numbers on one line."""
    return re.sub(r"\[\s+([\d.,\s-]+?)\s+\]", lambda found: f"[{' '.join(found[1].split())}]", text)


def _indent(text: str) -> str:
    return "\n".join(f"    {line}" if line else "" for line in text.splitlines())


# errors, data sets, exports


def errors() -> str:
    """Return the tree of errors, each with the first sentence of its docstring."""
    for module in ERROR_MODULES:
        import_module(module)
    from sam3_tool.errors import Sam3AgentError

    return "\n".join(_error_lines(Sam3AgentError, 0))


def _error_lines(error: type[Exception], depth: int) -> Iterator[str]:
    yield f"{'    ' * depth}- `{error.__name__}` (`{error.__module__}`): {first_paragraph(error.__doc__)}"
    known = {"sam3_tool.errors", "sam3_tool.plugins", *ERROR_MODULES}  # a plugin or a test may define further ones
    ours = [inner for inner in error.__subclasses__() if inner.__module__ in known]
    for inner in sorted(ours, key=lambda inner: inner.__name__):
        yield from _error_lines(inner, depth + 1)


def list_own_plugins(group: str) -> list[str]:
    """Return the names of the parts of a kind that this project registers, not those of other installed packages."""
    points = entry_points(group=f"sam3_agent.{group}")
    return sorted(point.name for point in points if point.dist is not None and point.dist.name == "sam3-agent")


def datasets() -> str:
    """Return the data sets by name: what each is, its splits and options, and where to get it under which licence."""
    from evals.datasets.loading import find_loader

    rows: dict[tuple[str, ...], list[str]] = {}
    for name in list_own_plugins("datasets"):
        loader = find_loader(name)
        about = first_paragraph(sys.modules[loader.function.__module__].__doc__)
        lists = (", ".join(map(code, names)) for names in (loader.splits, loader.options))
        row = (escape_cell(about), *lists, *_find_source(name))
        rows.setdefault(row, []).append(code(name))
    head = ["name", "what", "splits", "options", "where to get it", "licence"]
    return table(head, [[", ".join(names), *row] for row, names in rows.items()])


def _find_source(name: str) -> tuple[str, str]:
    """Return where a data set comes from and its licence, as its loader says where the data are missing."""
    from evals.datasets.loading import find_loader, load_benchmark
    from evals.errors import DatasetError

    loader = find_loader(name)
    with tempfile.TemporaryDirectory() as folder:
        for split in loader.splits if loader.needs_data else ():
            try:
                load_benchmark(name, Path(folder), split)
            except DatasetError as error:
                if found := re.search(r"get it from (.+) \(licence: (.+)\)$", " ".join(str(error).split())):
                    return escape_cell(found[1]), escape_cell(found[2])
    return "", ""


def models() -> str:
    """Return every model that `--sam3` takes by name, what it can do, and how it was run."""
    from agent.cli.models import CHECKS, GATES, format_bytes
    from sam3_tool.backends.catalog import CATALOG

    head = ["name", "what", "licence", "size", "what it can do", "run with", "speed measured here"]
    rows = [
        [
            code(entry.name),
            entry.title,
            f"{entry.licence}; {GATES[entry.access]}",
            format_bytes(entry.nbytes) if entry.nbytes else "none here",
            ", ".join(entry.abilities),
            CHECKS[entry.checked],
            entry.measured or "not measured",
        ]
        for entry in CATALOG
    ]
    notes = "\n".join(f"- {code(entry.name)}: {entry.note}" for entry in CATALOG if entry.note)
    return f"{table(head, rows)}\n\n{notes}"


def export_formats() -> str:
    """Return the export formats by name, with the endings of their files."""
    from agent.exports import EXPORTERS

    exporters = {name: EXPORTERS[name] for name in list_own_plugins("exporters")}
    rows = [
        [code(name), _list_media(exporter), code(exporter.suffix), escape_cell(exporter.description)]
        for name, exporter in exporters.items()
    ]
    return table(["`--export`", "of", "file", "holds"], rows)


def _list_media(exporter: Any) -> str:
    return " and ".join(f"{medium}s" for medium in ("image", "video") if exporter.handles(medium))


# bad input


def bad_input(kind: str) -> Callable[[], str]:
    """Return a function that runs bad commands of a kind, and gives what each says."""

    def render() -> str:
        sys.path.insert(0, str(DOCS))  # `bad_input.py` belongs to no package, as this file
        from bad_input import CASES, run_case

        rows = []
        for case in CASES[kind]:
            exit_code, said = run_case(case)
            rows.append(
                [escape_cell(case.found), code(case.command.replace("|", "\\|")), escape_cell(said), str(exit_code)]
            )
        return table(["what is wrong", "command", "what it says", "exit code"], rows)

    return render


# folders


def folders(package: str) -> Callable[[], str]:
    """Return a function that lists the folders of a package that hold modules, each with its first sentence."""

    def render() -> str:
        inside = sorted(path.parent for path in (ROOT / package).glob("*/__init__.py"))
        rows = [[code(f"{folder.name}/"), escape_cell(read_first_paragraph(folder))] for folder in inside]
        return table(["folder", "what it is"], rows)

    return render


def read_first_paragraph(folder: Path) -> str:
    """Return what a folder's `__init__.py` says of it, without importing it."""
    tree = ast.parse((folder / "__init__.py").read_text(encoding="utf-8"))
    return first_paragraph(ast.get_docstring(tree)).removesuffix(".")


# import contracts


def read_contracts(kind: str) -> list[dict[str, Any]]:
    """Return the contracts of import-linter of one kind."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]
    return [contract for contract in settings["contracts"] if contract["type"] == kind]


def import_layers() -> str:
    """Return the layers of the packages and of the folders in them, the highest first."""
    lines = [" > ".join(contract["layers"]) for contract in read_contracts("layers")]
    names = [", ".join(contract.get("containers", ["the packages"])) for contract in read_contracts("layers")]
    return table(["inside", "layers"], [[name, escape_cell(line)] for name, line in zip(names, lines, strict=True)])


def import_owners() -> str:
    """Return the libraries that only some modules may import."""
    rows = [
        [", ".join(map(code, contract["protected_modules"])), ", ".join(map(code, contract["allowed_importers"]))]
        for contract in read_contracts("protected")
    ]
    return table(["library", "imported only in"], rows)


# benchmarks


def read_study(name: str) -> Any:
    """Return the committed numbers of a study."""
    return json.loads((STUDIES / f"{name}.json").read_text(encoding="utf-8"))


def embedded_checkpoint() -> str:
    """Return what the embedded checkpoint reaches with text, boxes and clicks."""
    found, clicks = read_study("checkpoint"), read_study("clicks")
    text, boxes, both = found["text"], found["exemplar"], found["text and negative box"]
    rows = [
        [f"{text['pairs']:.0f} text phrases, 40 % of them absent: cgF1", f"{text['cgF1']:.1f}"],
        ["the same: IL_MCC", f"{text['IL_MCC']:.3f}"],
        ["the same: pmF1", f"{text['pmF1']:.1f}"],
        ["the same: F1 at IoU 0.5", f"{text['positive_micro_F1_50']:.1f}"],
        ["the same: F1 at IoU 0.75", f"{text['positive_micro_F1_75']:.1f}"],
        ["one positive exemplar box: objects of the same type kept", f"{boxes['same kind kept']:.3f}"],
        ["one positive exemplar box: objects of other types kept", f"{boxes['other kinds kept']:.3f}"],
        ["text and a negative box: cgF1", f"{both['cgF1']:.1f}"],
    ]
    objects = clicks.pop("objects")
    rows += [[f"one object by {how}, of {objects}: mean IoU", f"{value:.3f}"] for how, value in clicks.items()]
    return table(["measured", "value"], rows)


def calibration_error() -> str:
    """Return how far probabilities of held-out masks are from what is so."""
    head = ["masks", "number", "right", "ECE of the score", "ECE of the probability", "95 % interval", "Brier score"]
    return table(head, [[str(value) for value in row.values()] for row in read_study("calibration-error")])


def exemplars() -> str:
    """Return which objects examples in other images find, by every way of showing them."""

    def write_share(row: dict[str, float], side: str) -> str:
        return f"{row[side]:.3f} ({row[f'{side} low']:.3f} to {row[f'{side} high']:.3f})"

    rows = [
        [way, f"{row['scenes']:.0f}", write_share(row, "meant"), write_share(row, "others")]
        for way, row in read_study("exemplars").items()
    ]
    return table(["what is given", "scenes", "shown of those meant", "shown of others"], rows)


def text_on_objects() -> str:
    """Return how many printed words are read, bound to their object, and answered, by what they look like."""
    study = read_study("reading")
    rows = [
        [value, f"{counts['words']}", *(f"{100 * counts[name]:.1f}" for name in ("read", "bound", "answered"))]
        for kind in ("all", "angle", "size", "font", "pattern", "kind")
        for value, counts in study[kind].items()
    ]
    measured = f"Measured on {study['images']} scenes (`--number {study['images']}`), in percent of the words:"
    return f"{measured}\n\n{table(['words', 'n', 'read', 'bound', 'answered'], rows)}"


def followed_objects() -> str:
    """Return J&F of objects that are given on the first frame, and of ways without memory."""
    rows = [[way, *(f"{row[name]:.1f}" for name in ("jf", "j", "f"))] for way, row in read_study("following").items()]
    return table(["given on the first frame", "J&F", "J", "F"], rows)


def phrase_masklets() -> str:
    """Return video cgF1 and pHOTA, with memory and without."""
    names = ("cgF1", "pmF1", "IL_MCC", "pHOTA", "pDetA", "pAssA")
    rows = [
        [way, *(f"{row[name]:.3f}" if name == "IL_MCC" else f"{row[name]:.1f}" for name in names)]
        for way, row in read_study("masklets").items()
    ]
    return table(["phrase to masklets", *names], rows)


def grammar_queries() -> str:
    """Return gIoU by kind of query, with the embedded SAM 3 and with exact masks."""
    tiny, truth = read_study("queries-tiny"), read_study("queries-truth")
    rows = [[kind, f"{row['giou']:.3f}", f"{truth[kind]['giou']:.3f}"] for kind, row in tiny.items()]
    return table(["kind of query", "embedded SAM 3", "ground-truth masks"], rows)


def temporal_queries() -> str:
    """Return J&F by kind of temporal query, with the embedded SAM 3 and with exact masklets."""
    tiny, truth = read_study("temporal-queries-tiny"), read_study("temporal-queries-truth")
    rows = [
        [kind, f"{tiny[kind]['jf']:.3f}", f"{tiny[kind]['n']:.0f}", f"{row['jf']:.3f}", f"{row['n']:.0f}"]
        for kind, row in truth.items()
    ]
    return table(["kind of query", "embedded SAM 3", "queries", "exact masklets", "queries"], rows)


def strategy_fit() -> str:
    """Return how near the simulated profiles come to the published numbers that they are fitted to."""
    path = ROOT / "evals" / "simulation" / "profiles.json"
    rows = [
        [
            row["name"],
            f"{row['published']:.1f}",
            f"{row['simulated']:.1f}",
            f"{row['simulated'] - row['published']:+.1f}",
        ]
        for row in json.loads(path.read_text(encoding="utf-8"))["profiles"]
    ]
    return table(["profile", "published gIoU", "simulated gIoU", "residual"], rows)


def strategies() -> str:
    """Return what each way of planning is worth in the simulation, for every profile."""
    return _strategy_table("strategies")


def _strategy_table(study: str) -> str:
    profiles = read_study(study)["profiles"]
    ways = dict.fromkeys(way for rows in profiles.values() for way in rows)
    head = ["way of planning", *(f"{name}: {what}" for name in profiles for what in ("gIoU", "lead", "tokens"))]
    rows = [[way, *(cell for rows in profiles.values() for cell in _strategy_cells(rows.get(way)))] for way in ways]
    return table(head, rows)


def readable_strategies() -> str:
    """Return what the router is worth on queries that the grammar reads, in the simulation."""
    return _strategy_table("strategies-readable")


def strategy_sensitivity() -> str:
    """Return the lead of all strategies together under other assumptions of the simulation."""
    found = read_study("strategies-sensitivity")["sensitivity"]
    names = list(next(iter(found.values())))
    head = ["assumption", *(f"{name}: {what}" for name in names for what in ("published protocol", "lead", "tokens"))]
    return table(head, [[assumption, *_sensitivity_cells(by_name)] for assumption, by_name in found.items()])


def _sensitivity_cells(by_name: Mapping[str, Any]) -> Iterator[str]:
    for ways in by_name.values():
        baseline, best = ways.values()
        yield from (f"{baseline['giou'][0]:.1f}", _signed_interval(best["lead"]))
        yield f"{best['tokens']:,} of {baseline['tokens']:,}"


def _strategy_cells(row: Mapping[str, Any] | None) -> list[str]:
    if row is None:  # not measured
        return [""] * 3
    value, low, high = row["giou"]
    return [f"{value:.1f} ({low:.1f} to {high:.1f})", _signed_interval(row["lead"]), f"{row['tokens']:,}"]


def _signed_interval(numbers: Sequence[float]) -> str:
    value, low, high = numbers
    return f"{value:+.1f} ({low:+.1f} to {high:+.1f})"


def conversations() -> str:
    """Return gIoU by kind of turn, with the embedded SAM 3 and with exact masks."""
    tiny, truth = read_study("conversations-tiny"), read_study("conversations-truth")
    rows = [
        [kind, str(row["n"]), f"{row['giou']:.3f}", f"{truth[kind]['giou']:.3f}"]
        for kind, row in tiny.items()
        if "giou" in row
    ]
    return table(["what is said", "turns", "embedded SAM 3", "ground-truth masks"], rows)


def scenes() -> str:
    """Return the generated world in each official format, with both toolsets."""
    from bench.suites.agent.scenes import RESULTS, format_scores

    return format_scores(json.loads(RESULTS.read_text(encoding="utf-8")))


def requests() -> str:
    """Return what a language model is sent for the same decisions, at each number of masks."""
    found = json.loads((SPEED / "protocols.json").read_text(encoding="utf-8"))
    rows = [
        [
            masks,
            escape_cell(name),
            str(row["model_calls"]),
            str(row["rounds"]),
            f"{row['text_tokens'] + row['image_tokens']:,}",
        ]
        for masks, ways in found["masks"].items()
        for name, row in ways.items()
    ]
    return table(["masks", "way", "requests", "rounds that wait", "prompt and image tokens"], rows)


def follow_ups() -> str:
    """Return what each turn of a conversation costs a language model, in each way of going on."""
    found = json.loads((SPEED / "follow-ups.json").read_text(encoding="utf-8"))["ways"]
    later = {way: sum(turn["tokens"] for turn in turns[1:]) for way, turns in found.items()}
    most = max(later.values())
    rows = [
        [
            way,
            *(f"{turn['tokens']:,}" for turn in turns),
            str(sum(turn["requests"] for turn in turns[1:])),
            f"{100 * (1 - later[way] / most):.0f} %",
        ]
        for way, turns in found.items()
    ]
    numbers = range(1, len(next(iter(found.values()))) + 1)
    head = ["way", *(f"turn {number}" for number in numbers), "requests of follow-ups", "tokens saved in follow-ups"]
    return table(head, rows)


def official_code() -> str:
    """Return each metric beside its official code on the committed cases."""
    from evals.metrics.official.cases import FAMILIES, compare_family

    results = [(family, compare_family(family)) for family in FAMILIES]
    rows = [
        [escape_cell(family.title), escape_cell(family.source), str(scores.cases), str(scores.numbers), scores.verdict]
        for family, scores in results
    ]
    return table(["metric", "official code", "cases", "numbers", "here"], rows)


def published_numbers() -> str:
    """Return the paper's numbers, and the command of the run that would stand beside each."""
    from evals.studies.published import MAIN_BENCHMARKS, load_published_runs

    return _tabulate_published([run for run in load_published_runs() if run.dataset in MAIN_BENCHMARKS])


def published_video_numbers() -> str:
    """Return the numbers of agents on video in the same way."""
    from evals.studies.published import load_published_runs

    return _tabulate_published(load_published_runs(videos=True))


def further_numbers() -> str:
    """Return the numbers of others on PBench, RefCOCOm and ConverSeg in the same way."""
    from evals.studies.published import load_further_runs

    runs = load_further_runs()
    rows = [[f"{run.dataset} {run.split}", run.metric, _list_numbers(run.others), ""] for run in runs]
    return _add_commands(table(["benchmark", "metric", "others", "ours"], rows), runs)


def _tabulate_published(runs: "Sequence[PublishedRun]") -> str:
    rows = [[run.name, f"{run.dataset} {run.split}", _list_numbers(run.published), ""] for run in runs]
    return _add_commands(table(["language model", "benchmark", "published", "ours"], rows), runs)


def _add_commands(rows: str, runs: "Sequence[PublishedRun | FurtherRun]") -> str:
    commands = fence("text", "\n".join(run.format_command(Path("runs")) for run in runs))
    return f'{rows}\n\n??? note "The command of each run, in the order of the table"\n\n{_indent(commands)}'


def _list_numbers(numbers: Mapping[str, float]) -> str:
    return ", ".join(f"{name.removeprefix('length: ')} {value:.1f}" for name, value in numbers.items())


def speed_table(name: str) -> Callable[[], str]:
    """Return a function that gives one committed table of `sam3-agent bench`, with what it was measured on."""

    def render() -> str:
        title, _, rows = (SPEED / f"{name}.md").read_text(encoding="utf-8").partition("\n\n")
        name_of, _, about = title.partition(" (")
        measured_on = f"\n\n*{about.rstrip(')')}*" if about else ""
        # the first column holds names or sizes, which read better from the left
        return f"**{name_of}**\n\n{rows.strip().replace('| ---: |', '| --- |', 1)}{measured_on}"

    return render


SPEED_TABLES = [str(path.relative_to(SPEED).with_suffix("")) for path in sorted(SPEED.glob("**/*.md"))]


def http_routes() -> str:
    """Return every route of the HTTP interface."""
    paths = json.loads(OPENAPI.read_text(encoding="utf-8"))["paths"]
    rows = [
        [code(f"{method.upper()} {path}"), escape_cell(first_paragraph(operation.get("description")))]
        for path, operations in paths.items()
        for method, operation in operations.items()
    ]
    return table(["route", "what it does"], rows)


SECTIONS: Mapping[str, Callable[[], str]] = {
    "command-line": command_line,
    "http-routes": http_routes,
    "workspace-tools": workspace_tools,
    "reading-tool": reading_tool,
    "text-on-objects": text_on_objects,
    "paper-tools": paper_tools,
    "video-tools": video_tools,
    "result-schema": result_schema,
    "result-example": result_example,
    "errors": errors,
    "datasets": datasets,
    "models": models,
    "export-formats": export_formats,
    **{
        f"bad-input/{kind}": bad_input(kind)
        for kind in ("images", "videos", "options", "weights", "environment", "data")
    },
    **{f"folders/{package}": folders(package) for package in FOLDERS_OF},
    "import-layers": import_layers,
    "import-owners": import_owners,
    "embedded-checkpoint": embedded_checkpoint,
    "calibration-error": calibration_error,
    "exemplars": exemplars,
    "followed-objects": followed_objects,
    "phrase-masklets": phrase_masklets,
    "grammar-queries": grammar_queries,
    "temporal-queries": temporal_queries,
    "conversations": conversations,
    "strategies": strategies,
    "strategies-readable": readable_strategies,
    "strategies-sensitivity": strategy_sensitivity,
    "strategy-fit": strategy_fit,
    "scenes": scenes,
    "requests": requests,
    "follow-ups": follow_ups,
    "official-code": official_code,
    "published-numbers": published_numbers,
    "further-numbers": further_numbers,
    "published-video-numbers": published_video_numbers,
    **{f"bench/{name}": speed_table(name) for name in SPEED_TABLES},
}


# pages


def pages() -> list[Path]:
    """Return every page that holds a generated part."""
    return [path for path in sorted(DOCS.glob("**/*.md")) if SECTION.search(path.read_text(encoding="utf-8"))]


def refresh(text: str) -> str:
    """Return a page with its generated parts made anew."""

    def replace(found: re.Match[str]) -> str:
        start, name, end = found.groups()
        body = SECTIONS[name]()
        return (
            found[0]
            if name in MEASURED and _is_close(body, found[0][len(start) : -len(end)])
            else (f"{start}\n{body}\n\n{end}")
        )

    return SECTION.sub(replace, text)


def _is_close(first: str, other: str) -> bool:
    """Return whether two texts differ in nothing but numbers that are equal to within two percent."""
    if NUMBER.sub("#", first).strip() != NUMBER.sub("#", other).strip():
        return False
    pairs = zip(NUMBER.findall(first), NUMBER.findall(other), strict=True)
    return all(isclose(float(a), float(b), rel_tol=0.02) for a, b in pairs)


def plots() -> dict[Path, bytes]:
    """Return the committed plots that pages show, by the path that the site needs them at."""
    texts = [path.read_text(encoding="utf-8") for path in DOCS.glob("**/*.md")]
    shown = {name for text in texts for name in re.findall(r"assets/plots/([\w-]+\.svg)", text)}
    folders = {name: STUDIES if (STUDIES / name).exists() else SPEED for name in shown}
    return {PLOTS / name: (folders[name] / name).read_bytes() for name in sorted(shown)}


def write_plots() -> list[Path]:
    """Copy the plots that are stale, and return their paths."""
    stale = [path for path, content in plots().items() if not path.exists() or path.read_bytes() != content]
    PLOTS.mkdir(parents=True, exist_ok=True)
    for path in stale:
        path.write_bytes(plots()[path])
    return stale


def openapi() -> str:
    """Return the document of the HTTP interface, by which programs write clients."""
    from sam3_tool import Sam3, ScriptedBackend
    from serve.http.app import create_app
    from serve.http.settings import ServeSettings

    return json.dumps(create_app(ServeSettings(), Sam3(ScriptedBackend({}))).openapi(), indent=1) + "\n"


def write_openapi() -> list[Path]:
    """Write the document of the HTTP interface if it is stale, and return its path then."""
    new = openapi()
    if OPENAPI.exists() and OPENAPI.read_text(encoding="utf-8") == new:
        return []
    OPENAPI.write_text(new, encoding="utf-8")
    return [OPENAPI]


def main() -> None:
    """Write each stale page, plot and document, and say which."""
    written = [*write_plots(), *write_openapi()]  # which a page is made from
    for path in pages():
        text = path.read_text(encoding="utf-8")
        if (new := refresh(text)) != text:
            path.write_text(new, encoding="utf-8")
            written.append(path)
    for path in written:
        print(f"written: {path.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
