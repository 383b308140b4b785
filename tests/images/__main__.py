"""The command: `python3 -m images build TARGET`, with the folder `tests` on PYTHONPATH."""

import argparse
import subprocess
import sys

from cluster.waiting import ClusterError
from images.build import TARGETS, build_image, default_tag


def main() -> None:
    arguments = _parser().parse_args()
    tag = arguments.tag or default_tag(arguments.target)
    try:
        archive = build_image(arguments.target, tag)
    except subprocess.CalledProcessError as error:
        sys.exit(f"`{' '.join(map(str, error.cmd))}` ended with {error.returncode}; its messages are above")
    except ClusterError as error:
        sys.exit(str(error))
    print(archive)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python3 -m images", description=sys.modules["images"].__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    build = commands.add_parser("build", help="make a docker-archive of one target, unless it is there; print its path")
    build.add_argument("target", choices=TARGETS)
    build.add_argument("--tag", help="name and tag of the image (default: grpo-<target>:<version of the project>)")
    return parser


if __name__ == "__main__":
    main()
