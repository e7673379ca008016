"""One signal ends work that has no checkpoint, whatever that work catches."""

import os
import signal
import time

import pytest

from fmcycle.errors import Interrupted
from fmcycle.training import signals


def test_a_signal_ends_work_that_catches_every_exception():
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(Interrupted, match="stopped by SIGTERM; the same command resumes"), signals.at_once():
        try:  # as transformers does around its imports
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(5)
        except Exception:
            pytest.fail("swallowed")
    assert signal.getsignal(signal.SIGTERM) == before
