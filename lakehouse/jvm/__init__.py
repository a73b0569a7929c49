"""Java: found or fetched; the pinned JARs; our own classes, compiled; the class archives that make a start faster.

Used by ``kafka``, ``lake`` and the packages above them.
Import: ``java``, ``jars``, ``compiler``, ``class_archive``.
"""
