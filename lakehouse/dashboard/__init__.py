"""PURE. The live dashboard: pages made on the server from the explorer's own queries, and swapped in place by a small script.

``server`` answers HTTP, ``board`` makes each page once per table version for all who look at it, ``pages`` says which
cards a page has, ``cards`` turns results into what the templates draw, ``words`` has every text in both languages.
"""
