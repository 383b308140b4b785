"""`python -m pictures`, with PYTHONPATH as in the Makefile: runs the demo anew on the local cluster, and draws it."""

import subprocess
import sys
from pathlib import Path
from typing import Final

from demo.__main__ import up
from demo.errors import DemoError
from demo.namespace import NAMESPACE
from harness.browser import browser_page
from harness.command import opened_page
from harness.installation import local_cluster, tool_output
from harness.kubectl import CommandFailedError
from harness.layout import ROOT
from harness.prometheus import Prometheus
from pictures.bundle import bundle
from pictures.completions import draw_completions
from pictures.dashboards import OF_ALL_RUNS, OF_THE_RUN, draw_dashboard
from pictures.drawing import drawing_page
from pictures.errors import PictureError
from pictures.moment import Moment

IMAGES: Final = ROOT / "docs" / "images"
RUN: Final = "demo"


def main() -> None:
    try:
        make_pictures(IMAGES)
    except (DemoError, PictureError, CommandFailedError, TimeoutError) as error:
        sys.exit(str(error))
    except subprocess.CalledProcessError as error:
        sys.exit(f"`{' '.join(map(str, error.cmd))}` ended with {error.returncode}; its messages are above")


def make_pictures(folder: Path) -> None:
    built = bundle()  # first: nobody waits for a demo to read that the page cannot be made
    moment = Moment()
    up(True, moment.look)
    folder.mkdir(exist_ok=True)
    (folder / "top.svg").write_text(moment.top)
    with opened_page(local_cluster().within(NAMESPACE), RUN) as address, browser_page() as page:
        draw_completions(page, address, folder)
    draw_dashboards(built, moment, Prometheus(tool_output("cluster", "prometheus-url")), folder)
    for file in sorted(folder.iterdir()):
        print(f"{file.relative_to(ROOT)}  {file.stat().st_size / 1000:.0f} kB")


def draw_dashboards(built: Path, moment: Moment, prometheus: Prometheus, folder: Path) -> None:
    """
    Raises:
        PictureError: of each picture that has a fault, for none is worth another demo.
    """
    of_the_run, of_all_runs = moment.spans(prometheus)
    wanted = [(choice, {"namespace": NAMESPACE, "run": RUN}, of_the_run) for choice in OF_THE_RUN]
    wanted += [(choice, {"namespace": ".*"}, of_all_runs) for choice in OF_ALL_RUNS]
    troubles = []
    with drawing_page(built) as page:
        for choice, values, span in wanted:
            try:
                draw_dashboard(choice, values, span, prometheus, page, folder)
            except PictureError as trouble:
                troubles.append(str(trouble))
    if troubles:
        raise PictureError("\n".join(troubles))


if __name__ == "__main__":
    main()
