"""Measurements of the Bronze job beside what a user would write instead, on the same sales, in the same run.

``make bench``, or ``python -m benchmarks.run --help``. What is measured and how:

- **drain**: a topic is filled with N distinct sales (``preload``). Each contender reads it to its end in a process and a
  data folder of its own, in turns (A B A B …). The clock runs from the start of the process to its exit; the time between
  the start of the first batch and the end of the last is shown beside it. The table that it leaves behind is compared with
  what was filled in: rows, distinct sales, cents.
- **latency**: 100 sales a second; from the broker's timestamp of a sale to the moment at which a reader sees it (``latency``).
- **ceiling**: Kafka's own ConsumerPerformance on the same topic (``kafka_tools``).

Adding a contender is adding an entry in ``contenders``. No goal is asserted: ratios are printed beside the goals.
"""
