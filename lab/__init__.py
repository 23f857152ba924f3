"""The lab: a small Scout site on this machine, for the demo and the tests.

``lab.standins`` runs inside the lab's hosts, everything else on the machine that makes them.
"""
