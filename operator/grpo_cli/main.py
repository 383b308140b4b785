"""The commands of `kubectl grpo`. Reads files and prints; decides nothing of a run. Those about runs on a cluster: live/."""

import argparse
import json
import os
import signal
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from grpo_cli.check import Known, Report, check_run, in_order
from grpo_cli.documents import Document, UnreadableError, read_document
from grpo_cli.finding import Finding, Level, error
from grpo_cli.from_recipe import Pods, Surroundings, build_run, name_of, run_text
from grpo_cli.live.cluster import ClusterError
from grpo_cli.live.commands import add_commands
from grpo_cli.memory import Gpu, Model
from grpo_cli.model_shape import parse_parameters, read_shape
from grpo_cli.options import COUNT, count, read_as
from grpo_cli.processes import NUM_PROCESSES, written_for
from grpo_cli.product import product
from grpo_cli.report import as_json, as_text
from grpo_contract.model_folder import CONFIG_NAME
from grpo_contract.paths import is_path
from grpo_contract.recipe.defaults import ERAS

STANDARD_INPUT: Final = "-"
AROUND: Final = ("name", "learners", "generators", "storage", "recipe_defaults")
"""Options that a GRPORun answers itself."""


def main(arguments: Sequence[str] | None = None) -> int:
    given = build_parser().parse_args(arguments)
    for end in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(end, signal.default_int_handler)  # as Ctrl-C: what was started is ended
    try:
        return int(given.run(given))
    except (UnreadableError, ClusterError) as problem:
        print(f"error: {problem}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:  # how `top` is left
        return 130
    except BrokenPipeError:  # nobody reads any more, as after `| head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="kubectl grpo", description="GRPO training runs on Kubernetes.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    printing = commands.add_parser("from-recipe", help="print the GRPORun for a recipe file of TRL or Open-R1")
    printing.set_defaults(run=print_run)
    checking = commands.add_parser(
        "check", help="say what of a recipe or a GRPORun would be refused, translated or wasteful"
    )
    checking.set_defaults(run=print_check)
    for command in (printing, checking):
        command.add_argument("file", metavar="FILE", help="a YAML file; - for standard input")
        _add_surroundings(command)
    _add_known(checking)
    add_commands(commands)
    return parser


def _add_surroundings(command: argparse.ArgumentParser) -> None:
    group = command.add_argument_group("what a recipe does not say")
    group.add_argument("--name", help="name of the run; the file's without this")
    for role, left_out in (("learners", "what the recipe's num_processes says, or 1x1,"), ("generators", "1x1")):
        group.add_argument(
            f"--{role}",
            type=read_as(Pods.parse, "write pods and GPUs of each as in 2x8"),
            metavar="PODSxGPUS",
            help=f"{role}, as in 2x8; {left_out} without this",
        )
    group.add_argument("--storage", metavar="SIZE", help="size of the volume claim; 100Gi without this")
    group.add_argument(
        "--recipe-defaults", choices=ERAS, help="whose defaults the left-out keys have; today's without this"
    )


def _add_known(command: argparse.ArgumentParser) -> None:
    group = command.add_argument_group("what a file does not say")
    group.add_argument("--rows", type=read_as(count, COUNT), help="rows of the data set")
    group.add_argument(
        "--eval-rows", type=read_as(count, COUNT), help="rows of dataset_test_split; a mixture's test_split_size wins"
    )
    group.add_argument(
        "--parameters",
        type=read_as(parse_parameters, "write it as in 1.5B"),
        help="parameters of the model, as in 1.5B",
    )
    group.add_argument(
        "--model-config", metavar="FILE", help="config.json of the model; found by itself in a local folder"
    )
    group.add_argument(
        "--prompt-tokens",
        type=read_as(count, COUNT),
        default=Gpu.prompt_tokens,
        help="of the longest prompt; %(default)s",
    )
    group.add_argument("--gpu-memory", type=read_as(_size, "give GiB, as in 80"), metavar="GIB", help="memory of a GPU")
    command.add_argument("-o", "--output", choices=("text", "json"), default="text")


def _size(text: str) -> float:
    if not 0 < float(text) < float("inf"):
        raise ValueError(text)
    return float(text)


def print_run(given: argparse.Namespace) -> int:
    document = _read(given.file)
    if document.is_run:
        raise UnreadableError(f"{document.name} holds a GRPORun already; give a recipe with its keys at top level.")
    around = _surroundings(given, document)
    print(run_text(document, around), end="")
    report = check_run(build_run(document.content, around), Known(), product())
    doubled = doubled_keys(document)
    for finding in (*doubled, *report.findings):
        if finding.level is Level.ERROR or finding in doubled:
            print(f"{finding.level}: {finding.sentence}", file=sys.stderr)
    return exit_code(report)


def print_check(given: argparse.Namespace) -> int:
    if given.output == "text":
        report = _report(given)
        print(as_text(report), end="")
    else:
        report = _report_whatever_happens(given)
        print(as_json(report), end="")
    return exit_code(report)


def _report_whatever_happens(given: argparse.Namespace) -> Report:
    """For programs, who find the one sentence where they find others."""
    try:
        return _report(given)
    except UnreadableError as problem:
        return Report((error("", str(problem)),))


def _report(given: argparse.Namespace) -> Report:
    document = _read(given.file)
    run = _run_of(document, given)
    known = Known(given.rows, given.eval_rows, _model(run, given), Gpu(given.prompt_tokens, given.gpu_memory))
    report = check_run(run, known, product())
    return replace(report, findings=in_order([*report.findings, *doubled_keys(document)]))


def exit_code(report: Report) -> int:
    return 1 if report.has_errors else 0


def doubled_keys(document: Document) -> list[Finding]:
    return [
        Finding(
            Level.NOTE,
            f"spec.recipe.{path}",
            f"{path} is there twice in {document.name}; the last one counts, as for TRL and Open-R1.",
        )
        for path in document.doubled
    ]


def _run_of(document: Document, given: argparse.Namespace) -> dict[str, Any]:
    if not document.is_run:
        return build_run(document.content, _surroundings(given, document))
    if said := [option for option in AROUND if getattr(given, option) is not None]:
        option = said[0].replace("_", "-")
        raise UnreadableError(f"{document.name} is a GRPORun, which says this itself; leave --{option} out.")
    return document.content


def _surroundings(given: argparse.Namespace, document: Document) -> Surroundings:
    said = {option: getattr(given, option) for option in AROUND}
    said["learners"] = said["learners"] or written_for(document.content.get(NUM_PROCESSES))
    said["storage_size"] = said.pop("storage")
    said["name"] = said["name"] or name_of("" if given.file == STANDARD_INPUT else given.file)
    return Surroundings(**{option: value for option, value in said.items() if value is not None})


def _read(name: str) -> Document:
    if name == STANDARD_INPUT:
        return read_document("standard input", sys.stdin.read())
    return read_document(name, _text_of(Path(name)))


def _text_of(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as problem:
        why = problem.strerror if isinstance(problem, OSError) else "it is no UTF-8"
        raise UnreadableError(f"{file} cannot be read ({why}); give another file.") from problem


def _model(run: dict[str, Any], given: argparse.Namespace) -> Model | None:
    file = _config_file(run, given.model_config)
    if given.parameters is not None:
        return Model(given.parameters, None if given.model_config is None else read_shape(str(file), _config(file)))
    if file is None:
        return None
    shape = read_shape(str(file), _config(file))
    return Model(shape.parameters, shape)


def _config_file(run: dict[str, Any], given: str | None) -> Path | None:
    """The one that is given, or that of a model's folder on this machine."""
    if given is not None:
        return Path(given)
    spec = run.get("spec")
    recipe = spec.get("recipe") if isinstance(spec, dict) else None
    model = recipe.get("model_name_or_path") if isinstance(recipe, dict) else None
    file = Path(model) / CONFIG_NAME if isinstance(model, str) and is_path(model) else None
    return file if file is not None and file.is_file() else None


def _config(file: Path | None) -> dict[str, Any]:
    assert file is not None
    try:
        content = json.loads(_text_of(file))
    except ValueError as problem:
        raise UnreadableError(f"{file} is no JSON ({problem}); give a model's config.json.") from problem
    if not isinstance(content, dict):
        raise UnreadableError(f"{file} holds no model's configuration; give a model's config.json.")
    return content
