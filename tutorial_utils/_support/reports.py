"""A notebook's result: one output of the MIME type `MIME`, which `lesson.report` displays.

A worker process imports this module: nothing here loads torch.
"""

from typing import Any

MIME = "application/vnd.tutorial.result+json"


def read(book: dict[str, Any]) -> dict[str, Any]:
    """Return what an executed notebook reported last, {} if nothing."""
    found = [
        output["data"][MIME]
        for cell in book["cells"]
        for output in cell.get("outputs", [])
        if MIME in output.get("data", {})
    ]
    return dict(found[-1]) if found else {}
