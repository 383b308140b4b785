"""What a document shows its reader to type: code blocks, and the commands and YAML in them."""

import re
import shlex
import textwrap
from collections.abc import Iterator

import yaml

from harness.installation import OPERATOR_NAMESPACE, RELEASE
from harness.kubectl import Kubectl, Manifest
from harness.layout import CHART, ROOT

DOCUMENTS = {
    str(file.relative_to(ROOT)): file.read_text()
    for file in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), CHART / "README.md")
}
FENCED = re.compile(r"^```\w*\n(.*?)^```$", re.MULTILINE | re.DOTALL)
INDENTED = re.compile(r"(?:\A|\n\n)((?: {4,}\S.*\n(?:\n(?= {4}))?)+)")


def code_blocks(text: str) -> list[str]:
    """Fenced and indented ones, without their indentation."""
    rest = FENCED.sub("", text)
    return [textwrap.dedent(block) for block in (*FENCED.findall(text), *INDENTED.findall(rest))]


def commands(text: str) -> list[list[str]]:
    """The shell commands of the code blocks, split into words, without comments."""
    lines = (line for block in code_blocks(text) for line in block.replace("\\\n", " ").splitlines())
    return [words for line in lines if (words := _words(line))]


def _words(line: str) -> list[str]:
    try:
        return shlex.split(line, comments=True)
    except ValueError:  # a drawing
        return []


def mappings(text: str) -> Iterator[Manifest]:
    """The code blocks that are YAML objects."""
    for block in code_blocks(text):
        try:
            found = yaml.safe_load(block)
        except yaml.YAMLError:
            continue
        if isinstance(found, dict):
            yield found


def notes(helm: Kubectl) -> str:
    """NOTES.txt, as an installation with the chart's own values prints it."""
    printed = helm.helm("install", RELEASE, str(CHART), f"--namespace={OPERATOR_NAMESPACE}", "--dry-run=client")
    return printed.partition("NOTES:\n")[2]


def applied(text: str) -> list[Manifest]:
    """The manifests that commands of the form `kubectl apply -f - <<EOF` hold."""
    return [yaml.safe_load(body) for body in re.findall(r"<<EOF\n(.*?)^ *EOF$", text, re.MULTILINE | re.DOTALL)]
