"""Which quantiles a bar of runs shows, and the words for them."""

LEVELS = (0.05, 0.25, 0.5, 0.75, 0.95)

QUANTILE_WORDS = (
    "Thin bar: 5 to 95% of the runs; thick bar: 25 to 75%; dot: median. Runs that diverged have no "
    "finite value and are not in the quantiles: the table of statuses counts them."
)
