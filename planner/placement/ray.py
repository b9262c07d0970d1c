"""Ray: a fraction of a logical GPU, rounded up as Ray rounds it, and the cap that Ray itself does not set."""

from __future__ import annotations

import re

from planner.catalog.gpus import NOTICEABLE, known_gpus
from planner.errors import UsageError
from planner.nouns.machine import CAP_VARIABLE
from planner.nouns.plan import Plan
from planner.nouns.words import ShareKind
from planner.placement.placement import Card, Placement, rounded_up
from planner.placement.share import allot, cautions
from planner.text.units import exact_size, format_size

UNITS = 10_000
"""Units of a resource: Ray counts in ten-thousandths (ray/_common/ray_option_utils.py, RESOURCE_UNIT_SCALING)."""
_MODEL = re.compile(r"\w+\s+((?:[A-Z]+\s+)*[A-Z0-9]*\d[A-Z0-9]*)")
"""The model in a driver's name: capitals and digits after the brand (ray/_private/accelerators/nvidia_gpu.py)."""
_CHIP = re.compile(r" (AD|GA|GB|GM|GP|TU)\d{3}$")
_SIZE = re.compile(r" \d+(\.\d+)? GB\b")
"""What the catalogue adds to a driver's name: the chip, and the memory where cards differ in it alone."""
NAMED = 4
"""How many cards a warning names."""


def place_on_ray(plan: Plan, *, gpu: str | int | None = None, share: ShareKind = "bound") -> Placement:
    """Options for `@ray.remote(**options)`, of tasks and actors alike.

    Raises UsageError where no GPU is said, ShareTooLarge where one process needs more than it has.
    """
    configuration, allotted, card = allot(plan, share, gpu)
    if card is None:
        raise UsageError(
            "Ray hands out fractions of a GPU, and neither the plan nor you say of which.",
            'Give its name or memory: gpu="24GB" (--gpu 24GB).',
        )
    options: dict[str, object] = {"num_gpus": fraction(allotted.bytes, card.total_bytes)}
    if card.name:
        options["accelerator_type"] = accelerator_type(driver_name(card.name))
    options["runtime_env"] = {"env_vars": {CAP_VARIABLE: exact_size(allotted.bytes)}}
    return Placement(
        engine="ray",
        configuration=configuration,
        share=allotted,
        card=card,
        manifest=options,
        warnings=(*cautions(plan, card, gpu), *_smaller_namesakes(card)),
    )


def fraction(share_bytes: int, gpu_bytes: int) -> float:
    """The smallest fraction of a GPU that holds the share once Ray has read it.

    Ray multiplies by 10,000 and drops the rest, so 0.1667 becomes 1,666 units and six of them fit. Fractions that lose
    a unit that way are passed over.
    """
    units = rounded_up(share_bytes * UNITS, gpu_bytes)
    while int(units / UNITS * UNITS) < units:
        units += 1
    return units / UNITS


def accelerator_type(name: str) -> str:
    """Ray's accelerator type of the GPU that its driver calls so: "NVIDIA A100-SXM4-40GB" is A100.

    As Ray 2.60 makes it; older releases have none for consumer cards, whose type is the name with dashes.
    """
    match = _MODEL.match(name)
    model = match[1].replace(" ", "-") if match else ""
    if len(model) > 1:
        return model
    return re.sub(r"^NVIDIA\s+", "", name).strip().replace(" ", "-")


def driver_name(name: str) -> str:
    """What the driver calls a GPU of the catalogue: without size and chip, with its brand. A driver's name stays."""
    if name.startswith(("NVIDIA ", "Tesla ", "Quadro ")):
        return name
    return "NVIDIA " + _SIZE.sub("", _CHIP.sub("", name)).replace("Mobile", "Laptop GPU")


def _smaller_namesakes(card: Card) -> tuple[str, ...]:
    """A fraction of one card is less of a smaller one that Ray cannot tell from it."""
    if card.name is None:
        return ()
    kind = accelerator_type(driver_name(card.name))
    smaller = [
        f"{gpu.name} ({format_size(gpu.total_bytes)})"
        for gpu in known_gpus()
        if gpu.total_bytes * NOTICEABLE < card.total_bytes and accelerator_type(driver_name(gpu.name)) == kind
    ]
    if not smaller:
        return ()
    named = ", ".join(smaller[:NAMED]) + (f" and {len(smaller) - NAMED} more" if len(smaller) > NAMED else "")
    return (f"Ray calls these {kind} too, and the fraction is too small for them: {named}",)
