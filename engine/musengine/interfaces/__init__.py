"""The base classes plugins build on, a module for each kind.

Only `model`, `loss`, `sampler` and what is made of them import torch; import the module you need.
"""
