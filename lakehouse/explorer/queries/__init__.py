"""The questions that people ask of the lake: tables to report tables, as SQL text.

Used by ``explorer`` and ``dashboard``.
Import: ``model``, ``registry``.
"""
