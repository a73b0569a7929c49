"""Measurements of the project beside what a user would pick instead, on the same sales, in the same run.

``make bench``, ``make bench-quick``, ``make bench-long``, or ``python -m benchmarks.run --help``. How each section (``sections``)
is measured is told by docs/BENCHMARKS.md and by its module: ``drain``, ``latency``, ``soak``, ``silver``, ``explorer``, ``start``,
``memory``, ``sending`` (the producer). Clocks run from the start of a process to its exit; what a contender leaves behind is
compared with what was sent: rows, distinct sales, cents.

Adding a contender is adding an entry in ``contenders``. Figures become tables in ``page``, verdicts in ``goals``, plots in
``charts``, which are pure; ``publish`` keeps docs/benchmarks.json and writes the page. No goal is asserted.

On their own: ``scaling`` (``make scaling``), ``dashboard``, ``reconcile``, ``maintenance``, ``state_job``.
"""
