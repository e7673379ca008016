# For editors and mypy: what `__getattr__` of __init__.py loads at its first use.
from fmcycle.python.calls import ask as ask
from fmcycle.python.calls import compose as compose
from fmcycle.python.calls import evaluate as evaluate
from fmcycle.python.calls import load as load
from fmcycle.python.calls import run as run
from fmcycle.python.calls import train as train
