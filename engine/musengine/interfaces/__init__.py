"""The base classes plugins build on, a module for each kind.

Only `models`, `losses` and `samplers` import torch; import the module you need.
"""
