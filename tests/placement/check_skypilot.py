"""Run by a Python that has SkyPilot: tasks as JSON on stdin, what its own parser makes of each on stdout.

    python check_skypilot.py < tasks.json

SkyPilot is heavy and pins much, so it is no dependency of the tests; test_skypilot.py says which Python is asked.
"""

from __future__ import annotations

import json
import sys


def main() -> None:
    """Each task through SkyPilot's schema, its Task and its Resources."""
    import sky

    answers = []
    for config in json.load(sys.stdin):
        try:
            task = sky.Task.from_yaml_config(config)
        except Exception as error:
            answers.append({"error": f"{type(error).__name__}: {error}"})
            continue
        answers.append(
            {
                "name": task.name,
                "accelerators": sorted(name for option in task.resources for name in option.accelerators or {}),
                "cpus": sorted({option.cpus for option in task.resources if option.cpus}),
                "memory": sorted({option.memory for option in task.resources if option.memory}),
                "images": sorted({str(option.image_id) for option in task.resources if option.image_id}),
                "envs": task.envs,
                "setup": task.setup,
                "run": task.run,
                "workdir": task.workdir,
            }
        )
    json.dump(answers, sys.stdout)


if __name__ == "__main__":
    main()
