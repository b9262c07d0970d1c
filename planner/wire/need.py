"""What `sam2-plan need` prints: the smallest budgets for a request, and the cards that have them."""

from __future__ import annotations

from planner.wire import words
from planner.wire.kinds import BYTES, TEXT, List, Maybe, Table, Whole, Word
from planner.wire.parts import CONFIGURATION, HEADROOM, REQUEST
from planner.wire.shapes import Answer, Key, Shape

ONE_NEED = Shape(
    "need",
    purpose=words.PURPOSE,
    configuration=CONFIGURATION,
    need_bytes=Key(BYTES, "the least that it completes in"),
    total_bytes=Key(BYTES, "what it takes with room to spare"),
    budget_bytes=Key(Maybe(BYTES), "the smallest under which there is a plan, headroom included"),
    card=Maybe(TEXT),
    sure_configuration=CONFIGURATION,
    upper_bytes=BYTES,
    sure_budget_bytes=Key(Maybe(BYTES), "the smallest under which a plan surely fits"),
    sure_card=Maybe(TEXT),
    preferred_budget_bytes=Key(Maybe(BYTES), "from where on it surely fits in the preferred way"),
    command=Maybe(TEXT),
    reasons=Key(Table(TEXT), "why a figure is null, by its name"),
)

CARDS = Shape("cards", total_bytes=BYTES, verdict=Word("fits", "tight"), names=List(TEXT, least=1))

NEED = Answer(
    "need",
    "What sam2-plan need prints",
    request=REQUEST,
    runtime=words.DRIVEN_RUNTIME,
    headroom=HEADROOM,
    needs=List(ONE_NEED, least=1),
    cards_for=Key(CONFIGURATION, of=lambda needed: needed.cards_for.configuration),
    cards=List(CARDS),
    further_cards=Whole(),
)
