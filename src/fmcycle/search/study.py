"""An Optuna study in SQLite; a killed sweep resumes its open trial."""

from collections.abc import Iterator
from pathlib import Path

STARTUP = 3  # trials drawn at random before TPE models the rest


def study(folder: Path, seed: int, count: int) -> Iterator[tuple]:
    """Yield (study, trial) until `count` trials ended; the caller tells each trial's result.

    The study is SQLite in `folder`. A trial left open by a kill is yielded again with the same values; each trial samples with
    its own seed, so an interrupted sweep equals an uninterrupted one.
    """
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    folder.mkdir(parents=True, exist_ok=True)
    made = optuna.create_study(
        storage=f"sqlite:///{(folder / 'study.db').resolve()}", study_name="select", direction="maximize", load_if_exists=True
    )
    while True:
        trials = made.get_trials(deepcopy=False)
        open_ones = [trial for trial in trials if not trial.state.is_finished()]
        if not open_ones and len(trials) >= count:
            return
        number = open_ones[0].number if open_ones else len(trials)
        made.sampler = optuna.samplers.TPESampler(seed=seed * 1_000_003 + number, n_startup_trials=STARTUP)
        yield made, optuna.trial.Trial(made, open_ones[0]._trial_id) if open_ones else made.ask()
