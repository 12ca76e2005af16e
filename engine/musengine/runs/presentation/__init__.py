"""How a run is told and shown: lines, its learning curve, reports, notebooks."""
