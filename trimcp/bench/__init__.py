"""The load generator of `trimcp bench`: makes a load of requests for any server, and measures how it is answered.

A run has sessions, which `sessions` keeps open; a load on them, closed or open, which `load` makes by a `schedule`;
and a `recorder`, which keeps the times in histograms. `run` puts them together. The other modules are about what
comes before (`plan`, `operations`, `mix_file`) and after (`result`, `conditions`, `verdict`, and the reports).
"""
