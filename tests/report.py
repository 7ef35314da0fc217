"""A pytest plugin (`-p tests.report`): how each test went, as JSON in the file that HOWDAH_TEST_REPORT names.

Nothing is written where the run broke off: whoever reads the file takes a missing one for a failure.
"""

import json
import os
from pathlib import Path
from typing import Any

import pytest


class Report:
    """A test counts by the worst of its three phases; a skipped one is no passed one."""

    def __init__(self) -> None:
        self.tests: dict[str, dict[str, Any]] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        test = self.tests.setdefault(report.nodeid, {"outcome": "passed", "properties": {}})
        if report.outcome != "passed" and test["outcome"] != "failed":
            test["outcome"] = report.outcome
        # A test's own properties come with its call, those of its fixtures with the teardown.
        test["properties"].update(dict(report.user_properties))

    def pytest_sessionfinish(self, exitstatus: int) -> None:
        Path(os.environ["HOWDAH_TEST_REPORT"]).write_text(
            json.dumps({"exit": int(exitstatus), "tests": self.tests}, indent=1)
        )


def pytest_configure(config: pytest.Config) -> None:
    # Workers of xdist report to the controller, which has it all.
    if "HOWDAH_TEST_REPORT" in os.environ and not hasattr(config, "workerinput"):
        config.pluginmanager.register(Report())
