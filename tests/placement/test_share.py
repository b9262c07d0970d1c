"""What one process is allotted: to the byte, never rounded down, never more than the card has."""

from __future__ import annotations

import pytest

import planner
from planner.errors import UsageError
from planner.nouns.plan import Plan as PlainPlan
from planner.placement.job import make_host, make_job
from planner.placement.placement import ShareTooLarge
from planner.placement.share import allot, card_of, cautions, share_of
from tests.placement.conftest import bound_of, bound_on, job_of

SENTENCE = "the upper bound of the prediction, on any GPU that runs it, CUDA context included"


def test_by_default_it_is_the_upper_bound_with_the_context(plan: planner.Plan) -> None:
    share = share_of(plan, "bound")
    assert plan.estimate is not None
    assert share.bytes == bound_of(plan) == plan.estimate.upper_bytes
    assert share.bytes >= plan.estimate.reserved_bytes + plan.estimate.context_bytes
    assert share.reason == SENTENCE


def test_on_a_card_that_is_known_it_is_what_is_predicted_there(plan: planner.Plan, named: planner.Plan) -> None:
    """CUDA's context and cuBLAS's workspace take more on a Hopper than on an Ampere, whatever the plan was made for."""
    assert plan.estimate is not None and named.estimate is not None
    assert share_of(named, "bound").bytes > share_of(named, "bound", card_of(named, None)).bytes
    assert share_of(named, "bound", card_of(named, None)).bytes == named.estimate.upper_bytes
    assert share_of(named, "bound", card_of(named, "H100 PCIe")).bytes == bound_on(named, "H100 PCIe 80 GB")


def test_a_budget_that_is_too_small_on_that_card_is_refused() -> None:
    """What is tight on one generation does not fit on another: the worker would fail under its own cap."""
    made = planner.plan(vram="0.78GB", variant="large", resolution=1024, precision="autocast_bfloat16")
    assert made.verdict == "tight"
    assert share_of(made, "bound", card_of(made, "GeForce RTX 3050 Mobile")).bytes == 780_000_000
    with pytest.raises(ShareTooLarge, match=r"H100 PCIe .* predicted to take at least 1328 MB"):
        share_of(made, "bound", card_of(made, "H100 PCIe"))


def test_it_is_never_more_than_the_budget(tight: planner.Plan) -> None:
    share = share_of(tight, "bound")
    assert share.bytes == tight.budget.total_bytes == 800_000_000
    assert "exceeds it" in share.reason


def test_the_bound_of_a_budget_without_a_name_holds_on_every_generation() -> None:
    bound = planner.plan(vram="2GB", objects=10).require().estimate.upper_bytes
    made = planner.plan(vram=bound + 10**7, objects=10, headroom="none")
    assert made.verdict == "fits"
    assert made.estimate is not None
    share = share_of(made, "bound")
    assert share.bytes == made.estimate.upper_bytes == bound_of(made)
    assert "on any GPU that runs it" in share.reason


def test_on_another_card_that_takes_more_the_share_is_that_card_s() -> None:
    made = planner.plan(gpu="RTX 3060", variant="large", resolution=1024, precision="autocast_bfloat16")
    assert made.estimate is not None
    on_hopper = bound_on(made, "H100 PCIe 80 GB")
    assert made.estimate.upper_bytes < on_hopper
    assert share_of(made, "bound", card_of(made, "H100 PCIe")).bytes == on_hopper


def test_the_whole_budget_may_be_asked_for(plan: planner.Plan) -> None:
    assert share_of(plan, "budget").bytes == plan.budget.total_bytes


def test_mebibytes_are_rounded_up(plan: planner.Plan) -> None:
    share = share_of(plan, "bound")
    assert share.bytes <= share.mebibytes * 2**20 < share.bytes + 2**20


def test_an_unknown_word_is_refused_with_those_known(plan: planner.Plan) -> None:
    with pytest.raises(UsageError, match=r"'half' is not a share.*bound, budget"):
        share_of(plan, "half")


def test_a_plan_that_chose_nothing_says_why(hopeless: planner.Plan) -> None:
    with pytest.raises(planner.DoesNotFit) as caught:
        share_of(hopeless, "bound")
    assert caught.value.rejected == hopeless.rejected
    bare = PlainPlan(**{name: getattr(hopeless, name) for name in PlainPlan.__slots__})
    with pytest.raises(UsageError, match="nothing to place"):
        share_of(bare, "bound")


def test_that_a_choice_is_tight_and_strict_is_no_obstacle(tight: planner.Plan) -> None:
    assert tight.ray_options(gpu="2GB")["num_gpus"] == pytest.approx(0.8 / 2, abs=2e-4)


def test_the_card_is_the_plans_or_what_is_said(plan: planner.Plan, named: planner.Plan) -> None:
    assert card_of(plan, None) is None
    of_plan = card_of(named, None)
    assert of_plan is not None and (of_plan.name, of_plan.total_bytes) == ("A100 SXM4 80 GB", 80 * 2**30)
    by_size = card_of(named, "24GiB")
    assert by_size is not None and (by_size.name, by_size.total_bytes) == (None, 24 * 2**30)
    by_bytes = card_of(named, 24 * 10**9)
    assert by_bytes is not None and by_bytes.total_bytes == 24 * 10**9
    for text, name in (
        ("RTX 3090", "GeForce RTX 3090"),
        ("3090", "GeForce RTX 3090"),
        ("1g.10gb", "A100 80 GB MIG 1g.10gb"),
    ):
        by_name = card_of(plan, text)
        assert by_name is not None and by_name.name == name


@pytest.mark.parametrize(
    ("gpu", "words"),
    [
        ("24", "no unit"),
        ("-3GB", "not a size"),
        ("RTX 9999", "No GPU is known"),
        (7, "not a budget"),
        (True, "not a budget"),
        ("T4", "bfloat16 needs compute capability 8.0"),
        ("V100", "has no code for compute capability 7.0"),
    ],
)
def test_a_gpu_that_is_none_or_cannot_run_it_is_refused(plan: planner.Plan, gpu: str | int, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        card_of(plan, gpu)


def test_more_than_the_card_has_is_refused_with_both_figures(plan: planner.Plan) -> None:
    with pytest.raises(ShareTooLarge) as caught:
        allot(plan, "bound", "1.9GB")
    assert isinstance(caught.value, planner.PlannerError)
    assert (caught.value.code, caught.value.exit_code) == ("does_not_fit", 3)
    assert plan.estimate is not None
    assert f"{plan.estimate.upper_bytes / 10**6:.0f} MB" in caught.value.message and "1900 MB" in caught.value.message
    assert "sam2-plan --vram 1.9GB" in caught.value.hint


def test_another_card_than_the_planned_one_and_an_ambiguous_name_are_told(
    plan: planner.Plan, named: planner.Plan
) -> None:
    assert cautions(named, card_of(named, None), None) == ()
    assert cautions(plan, card_of(plan, "24GB"), "24GB") == ()
    [other] = cautions(named, card_of(named, "L4"), "L4")
    assert "made for A100 SXM4 80 GB" in other
    told = cautions(plan, card_of(plan, "A100"), "A100")
    assert len(told) == 1 and "85.9 GB" in told[0] and "placed on A100 PCIe 40 GB" in told[0]


# -- what runs --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["My Job", "a_b", "-a", "a-", "", "a" * 64, "ä", 'a"b', "a\nb", "a;rm -rf"])
def test_a_name_that_schedulers_refuse_is_refused_with_one_that_is_near(name: str) -> None:
    with pytest.raises(UsageError, match="schedulers take") as caught:
        job_of(name=name)
    near = caught.value.hint.rpartition("Near: ")[2].rstrip(".") if "Near" in caught.value.hint else "fine"
    assert job_of(name=near).name == near


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"source": "-clip.mp4"}, "would be read as an option"),
        ({"source": " "}, "The input has no path"),
        ({"source": "a\0b"}, "control character"),
        ({"out": "\ud800"}, "not UTF-8"),
        ({"arguments": ("--point", "1,2\x1b[2J")}, "control character"),
        ({"arguments": ("--out", "elsewhere")}, "--out stands among the arguments"),
        ({"arguments": ("--checkpoint=x",)}, "--checkpoint stands among the arguments"),
        ({"checkpoint": None}, "There are no weights"),
        ({"arguments": ("--random-weights",)}, "exclude each other"),
    ],
    ids=str,
)
def test_what_would_not_arrive_as_it_was_meant_is_refused(changed: dict[str, object], words: str) -> None:
    with pytest.raises(UsageError, match=words) as caught:
        job_of(**changed)
    assert caught.value.hint


def test_the_two_lines_ask_the_same_of_check_and_run() -> None:
    job = job_of()
    common = "--out masks --checkpoint sam2.1_hiera_large.pt"
    # Waiting, since on a shared GPU a neighbour that is just ending is no plan that does not fit.
    assert job.check == f"sam2-plan check plan.yaml --input clip.mp4 {common} --wait 60s"
    assert job.run == f"sam2-plan run plan.yaml clip.mp4 {common} --point 960,540"
    bare = make_job(
        source="a", out="b", plan_path="p", checkpoint=None, arguments=["--random-weights"], name="sam2-plan"
    )
    assert "--checkpoint" not in bare.check + bare.run and "--random-weights" in bare.run


@pytest.mark.parametrize(("memory", "cpus"), [("8", None), (None, "x"), (None, 0), ("-1GB", None), (3, None)])
def test_a_host_that_makes_no_sense_is_refused(memory: object, cpus: object) -> None:
    with pytest.raises(UsageError):
        make_host(memory, cpus)  # type: ignore[arg-type]
