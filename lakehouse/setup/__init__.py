"""Getting it to run: checks, packages for a cluster, the supervisor, the demo, class archives, the bill of materials.

Used by the script ``setup_utils.py`` and the Makefile.
Import: ``checks``, ``pipeline``, ``demo``, ``packaging``, ``class_archive_training``.
"""
