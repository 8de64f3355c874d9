"""One estimate as a row of the page."""

from sweep_engine.densities import Compared, Study
from sweep_engine.densities.registry import QUANTITIES
from sweep_engine.report.page.contents import Row
from sweep_engine.report.places import place_of_pair
from sweep_engine.report.words import meaning, null_words, quantity


def row_of(study: Study, compared: Compared) -> Row:
    """Put an estimate into words."""
    comparison, estimate = compared.pair.comparison, compared.estimate
    given = ", given fit" if comparison.given == "fit" else ""
    given += "".join(f", {name} {lo:g} to {hi:g}" for name, (lo, hi) in
                     (comparison.where or {}).items())  # fmt: skip
    given += f", matched on {comparison.match.column}" if comparison.match else ""
    return Row(
        source=comparison.source,
        reference="" if comparison.is_within_one else comparison.reference,
        observable=comparison.observable + given,
        setting=compared.pair.label(),
        quantity=quantity(estimate),
        value=estimate.value,
        low=estimate.low,
        high=estimate.high,
        is_lower_bound=QUANTITIES[estimate.name].is_lower_bound,
        null=null_words(compared),
        meaning=meaning(compared),
        warnings=estimate.warnings,
        place=place_of_pair(study, compared.pair),
    )
