"""One experiment's estimates -> its answer and its verdict, in sentences and table rows."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from gridstudy.core.labels import short_label, tell_apart
from gridstudy.core.subject import Objective
from gridstudy.records.verdicts import CANNOT_TELL, verdict_word
from gridstudy.reporting.phrases import (
    MOST_NAMES,
    Prose,
    code,
    codes,
    count,
    difference,
    enumeration,
    level,
    margin_words,
    p_value,
    plain,
    sentence,
)
from gridstudy.statistics.estimates import ExperimentEstimate
from gridstudy.statistics.findings import CONFIDENCE_PERCENT
from gridstudy.statistics.noise import FROM_EXPERIMENT
from gridstudy.statistics.verdicts import (
    ALIKE,
    CONTRADICTED,
    EQUIVALENT,
    FROM_OWN_PAIRS,
    SUPPORTED,
    ContrastEstimate,
    Verdict,
)


def objective_of(e: ExperimentEstimate) -> Objective:
    """The objective that the experiment's scores are of."""
    return e.plan.description.objective


def label(e: ExperimentEstimate, configuration: str | None) -> Prose:
    """What an arm is called."""
    return code(e.labels.get(configuration or "", configuration or "unknown"))


def labels(e: ExperimentEstimate, names: Iterable[str], *, most: int = MOST_NAMES) -> Prose:
    """What several arms are called."""
    return codes([e.labels.get(name, name) for name in names], most=most)


# --- its answer ----------------------------------------------------------------------------------------------------


def answer(e: ExperimentEstimate, margin: float) -> Prose:
    """What the records say to the experiment's question, in a few sentences: the effect, then what to use."""
    parts = [] if e.verdict is None else [verdict_answer(e, e.verdict)]
    return Prose(" ".join(filter(None, [*parts, advice_sentence(e, margin)])))


def verdict_answer(e: ExperimentEstimate, verdict: Verdict) -> Prose:
    """The verdict as a sentence about the arms."""
    if verdict.verdict == CANNOT_TELL:
        return undecided_answer(e, verdict)
    effects = "; ".join(effect_phrase(e, i, verdict.verdict) for i in range(len(verdict.contrasts)))
    against = ", against the hypothesis" if verdict.verdict == CONTRADICTED else ""
    return sentence(f"{effects}{against}{label_mark(verdict)}")


def undecided_answer(e: ExperimentEstimate, verdict: Verdict) -> Prose:
    """Why it is undecided, and how many seeds would decide it."""
    if reason := untested_reason(verdict.contrasts):
        return Prose(f"**Undecided**: {reason}{label_mark(verdict)}.")
    needed = ", the last look" if verdict.look and not verdict.next_look else ""
    if not needed and verdict.seeds_to_decide:
        needed = f"; {needed_phrase(verdict)}"
    so_far = "; ".join(effect_phrase(e, i, CANNOT_TELL) for i in range(len(verdict.contrasts)))
    n = max((c.n for c in verdict.contrasts), default=0)
    margin = margin_words(objective_of(e), verdict.margin)
    asked = f" whether all differences are within {margin}," if claims_equality(verdict) else ""
    return Prose(f"**Undecided**{asked} at {count(n, 'seed')}{needed}. So far {so_far}{label_mark(verdict)}.")


def claims_equality(verdict: Verdict) -> bool:
    """Whether the hypothesis claims nothing but that differences do not matter."""
    return all(contrast.relation == ALIKE for contrast in verdict.contrasts)


def needed_phrase(verdict: Verdict) -> str:
    """The seeds at which a verdict is expected: `about 20 needed (10 to 40)`."""
    advice = verdict.advice
    if math.isinf(advice.low):
        return f"{advice.last} are unlikely to suffice"
    likely = f"{advice.low:.0f} or more" if math.isinf(advice.high) else f"{advice.low:.0f} to {advice.high:.0f}"
    if advice.low == advice.high:
        return f"about {advice.low:.0f} needed"
    if math.isinf(advice.expected) or (advice.expected == advice.low and math.isinf(advice.high)):
        return f"{likely} needed"
    return f"about {advice.expected:.0f} needed ({likely})"


def effect_phrase(e: ExperimentEstimate, i: int, verdict: str) -> str:
    """One contrast: `256 x 256` beats `16 x 16` by 4.8 points [2.9, 6.7]."""
    contrast, objective = e.verdict.contrasts[i], objective_of(e)  # type: ignore[union-attr]
    first, second, shared = tell_apart(*e.contrast_labels[i])
    first, second, alike = code(first), code(second), f" with {code(shared)}" if shared else ""
    value, low, high = contrast.difference, contrast.low, contrast.high
    if not math.isfinite(value):
        return f"{first} against {second}{alike}: {plain(contrast.label)}"
    if value < 0:
        first, second, value, low, high = second, first, -value, -high, -low
    size = difference(objective, value, low, high, signed=False)
    if verdict == EQUIVALENT or (verdict == SUPPORTED and contrast.relation == ALIKE):
        return f"{first} and {second} make no practical difference{alike} ({size})"
    decided = verdict != CANNOT_TELL and low > 0
    return f"{first} {'beats' if decided else 'is ahead of'} {second} by {size}{alike}"


def label_mark(verdict: Verdict) -> str:
    """The labels that a verdict is never quoted without."""
    return f" ({plain('; '.join(verdict.labels))})" if verdict.labels else ""


def advice_sentence(e: ExperimentEstimate, margin: float) -> Prose:
    """What to use, or that it is not known yet."""
    if e.best is None or e.runner_up is None:
        return Prose("")
    allowed = margin_words(objective_of(e), margin)
    if e.recommended is None:
        n_ranked = len(e.bounds) or len(e.tied)
        which = f"{len(e.tied)} of {n_ranked}" if len(e.tied) < n_ranked else f"any of the {n_ranked}"
        return Prose(
            f"No recommendation yet{seeds_to_recommend(e.seeds_to_recommend)}: {which} settings may be the best."
        )
    setting = code(short_label(e.labels.get(e.recommended, e.recommended)))
    if math.isnan(cost(e, e.recommended)):
        return Prose(f"**Use {setting}**; it is shown to come within {allowed} of the best.")
    if e.recommended == e.best:
        return Prose(f"**Use {setting}**; nothing cheaper is shown to come within {allowed}.")
    return Prose(f"**Use {setting}**, the cheapest that is shown to come within {allowed} of the best.")


def seeds_to_recommend(words: str) -> str:
    """The seeds that a recommendation would take."""
    if words.startswith("no "):
        return f" (none is expected {words.partition(' expected ')[2]})"
    return f" (likely with {'more than ' * words.startswith('>')}{words.lstrip('>')} seeds of each)" if words else ""


def cost(e: ExperimentEstimate, configuration: str) -> float:
    """What a configuration costs; NaN where the subject does not say."""
    return next((c.cost for c in e.experiment.configurations if c.name == configuration), math.nan)


# --- its verdict ---------------------------------------------------------------------------------------------------


def verdict_phrase(verdict: Verdict) -> Prose:
    """The verdict with the labels that go wherever it goes."""
    return Prose(f"**{verdict_word(verdict.verdict)}**{label_mark(verdict)}")


def verdict_reason(verdict: Verdict, objective: Objective) -> Prose:
    """Why that word, in a sentence or two."""
    holm = f"after Holm's correction over {count(verdict.family_size, 'hypothesis', 'hypotheses')}"
    claim, alike = p_value(verdict.p_adjusted), p_value(verdict.p_equivalent_adjusted)
    one = len(verdict.contrasts) == 1
    margin = margin_words(objective, verdict.margin)
    if verdict.verdict == EQUIVALENT or (verdict.verdict == SUPPORTED and claims_equality(verdict)):
        every = "The difference lies" if one else "All differences lie"
        return Prose(f"{every} within {margin} of zero: {alike} {holm}.")
    if verdict.verdict == SUPPORTED:
        return Prose(f"{'The difference is' if one else 'All differences are'} as claimed: {claim} {holm}.")
    if verdict.verdict == CONTRADICTED:
        return Prose(f"{'The difference is' if one else 'At least one difference is'} not as claimed: {claim} {holm}.")
    if reason := untested_reason(verdict.contrasts):
        return sentence(reason)
    if not verdict.look:
        return Prose(f"No look is complete yet, so nothing has been tested.{decide_sentence(verdict)}")
    tested = f"the claimed order nor its opposite ({claim}) nor equality within {margin} ({alike})"
    if claims_equality(verdict):
        tested = f"equality within {margin} ({alike}) nor a difference beyond it ({claim})"
    return Prose(f"Neither {tested} is significant {holm}.{decide_sentence(verdict)}")


def untested_reason(contrasts: Sequence[ContrastEstimate]) -> str:
    """Why nothing could be tested; empty where it could."""
    found = dict.fromkeys(c.label for c in contrasts)
    if "no records" in found:
        return "an arm that the hypothesis names has no trials yet"
    if unstable := [words for words in found if words.startswith("unstable")]:
        return f"an arm that the hypothesis names is {plain(unstable[0])}"
    if few := [words for words in found if words.startswith("fewer")]:
        return f"there are {few[0]}, too few for an interval"
    if untested := [words for words in found if words not in ("paired", "unpaired")]:
        return f"all seeds give the same score ({untested[0]}), so nothing can be tested"
    return ""


def look_sentence(verdict: Verdict) -> Prose:
    """The look that the verdict rests on, and when the next one is."""
    parts = []
    if verdict.look:
        parts.append(f"Read at look {verdict.look}, with {count(verdict.n_seeds, 'seed')}.")
    if verdict.next_look:
        which = "The next look" if verdict.look else "The first look"
        parts.append(f"{which} is at {count(verdict.next_look, 'seed')}.")
    if verdict.incomplete:
        parts.append(f"It lacks {plain(verdict.incomplete)}.")
    return Prose(" ".join(parts))


def decide_sentence(verdict: Verdict) -> str:
    """The seeds that would decide, where more seeds would help."""
    if not verdict.seeds_to_decide:
        return ""
    if math.isinf(verdict.advice.low):
        return f" {verdict.advice.last} seeds are unlikely to decide it{assumed(verdict.seeds_source)}."
    return f" Seeds for a verdict: {needed_phrase(verdict)}{assumed(verdict.seeds_source)}."


def assumed(source: str) -> str:
    """A remark where the scatter over seeds is not the experiment's own."""
    return "" if source in (FROM_EXPERIMENT, FROM_OWN_PAIRS, "") else f" (scatter assumed: {plain(source)})"


def contrast_sentences(e: ExperimentEstimate) -> list[Prose]:
    """Each difference of the hypothesis with the level of its interval."""
    if e.verdict is None:
        return []
    return [contrast_sentence(e, c, *sides) for c, sides in zip(e.verdict.contrasts, e.contrast_labels, strict=True)]


def contrast_sentence(e: ExperimentEstimate, contrast: ContrastEstimate, first: str, second: str) -> Prose:
    """`10` minus `3`: +1.5 points, 96 % interval [0.2, 2.8], n = 5."""
    name = _minus(e, first, second)
    if not math.isfinite(contrast.difference):
        return Prose(f"{name}: {plain(contrast.label)}")
    objective = objective_of(e)
    size = difference(objective, contrast.difference, contrast.low, contrast.high)
    interval = f", {level(contrast.confidence)} interval [" if math.isfinite(contrast.low) else " ["
    remarks: list[str] = [plain(contrast.label)] * (contrast.label != "paired")
    remarks += ["skewed, so the interval is approximate"] * contrast.skewed
    if contrast.confounded:
        remarks.append(f"confounded with {enumeration([*map(plain, contrast.confounded)])}")
    if max(contrast.n_first, contrast.n_second) > 1:
        sides = f"{label(e, contrast.first)} against {label(e, contrast.second)}"
        remarks.append(f"{sides}, each the best of its side; the interval does not allow for that choice")
    words = f"{name}: {size.replace(' [', interval)}, n = {contrast.n}"
    return Prose(words + (f" ({'; '.join(remarks)})" if remarks else ""))


def contrast_cell(e: ExperimentEstimate, contrast: ContrastEstimate, first: str, second: str) -> Prose:
    """As `contrast_sentence`, short: `10` minus `3`: +1.5 points [0.2, 2.8]."""
    if not math.isfinite(contrast.difference):
        return Prose(f"{_minus(e, first, second)}: {plain(contrast.label)}")
    size = difference(objective_of(e), contrast.difference, contrast.low, contrast.high)
    return Prose(f"{_minus(e, first, second)}: {size}")


def _minus(e: ExperimentEstimate, first: str, second: str) -> str:
    """The difference that is positive where the first side is better, as scores are subtracted."""
    higher, lower = (first, second) if objective_of(e).maximise else (second, first)
    return f"{code(higher)} minus {code(lower)}"


def verdict_rows(experiments: Iterable[ExperimentEstimate]) -> list[dict[str, object]]:
    """A row per hypothesis for the table of verdicts."""
    return [_verdict_row(e, e.verdict) for e in experiments if e.verdict]


def _verdict_row(e: ExperimentEstimate, verdict: Verdict) -> dict[str, object]:
    contrasts = list(zip(verdict.contrasts, e.contrast_labels, strict=True))
    return {
        "experiment": code(e.experiment.name),
        "verdict": verdict_phrase(verdict),
        "difference": Prose("; ".join(contrast_cell(e, c, *sides) for c, sides in contrasts)),
        "level": ", ".join(dict.fromkeys(level(c.confidence) for c, _ in contrasts if math.isfinite(c.low))),
        "look": str(verdict.look) if verdict.look else "none yet",
        "seeds": str(verdict.n_seeds or max((c.n for c, _ in contrasts), default=0)),
        "next look": str(verdict.next_look or ""),
        "seeds for a verdict": plain(verdict.seeds_to_decide),
    }


def levels_sentence(experiments: Iterable[ExperimentEstimate]) -> Prose:
    """The levels of the intervals beside verdicts."""
    known = {c.confidence for e in experiments if e.verdict for c in e.verdict.contrasts if math.isfinite(c.low)}
    if not known:
        return Prose("")
    levels = enumeration([*map(level, sorted(known))])
    return Prose(
        f"Brackets beside a verdict hold intervals at the level of its look ({levels}), all others "
        f"{CONFIDENCE_PERCENT} % intervals over seeds."
    )
