"""The whole demonstration in order: plan, training, pictures, three engines compared."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from fuse_ref.demo import PROGRAM
from fuse_ref.demo.agreement import TOLERANCE, compare
from fuse_ref.demo.data import load
from fuse_ref.demo.kept import compiled_code_in, seconds_of_first_run
from fuse_ref.demo.pictures import confusion, draw_confusion, draw_curve
from fuse_ref.demo.training import Trained, train
from fuse_ref.program import Program
from fuse_ref.records import dataclass

__all__ = ["GOAL", "Options", "show"]

GOAL = 0.97  # accuracy on the held-out fifth


@dataclass(frozen=True, slots=True)
class Options:
    seeds: tuple[int, ...] = (0,)
    epochs: int = 20
    inner: str = "inductor"
    folder: Path = Path("runs/demo")
    cache: Path = Path("runs/demo/cache")  # for compiled code and plans


def show(options: Options) -> bool:
    """Run the demonstration and print what happens; True when accuracy and agreement are reached."""
    program = Program.from_file(PROGRAM)
    print(program.source)
    print(program.plan(), end="\n\n", flush=True)
    accuracies: list[float] = []
    agreed = True
    for seed in options.seeds:
        digits = load(seed)
        print(
            f"seed {seed}: {len(digits.train_labels):,} digits to learn from, {len(digits.test_labels)} held out; "
            f'torch.compile(model, backend="fuse"), inner compiler {options.inner}',
            flush=True,
        )
        with compiled_code_in(options.cache):
            trained = train(program, digits, seed=seed, epochs=options.epochs, inner=options.inner)
        accuracies.append(trained.accuracy)
        print(_summary(trained), flush=True)
        if seed == options.seeds[0] and options.inner == "inductor":
            print(_gain(trained, options), flush=True)
        for result in compare(program, digits, trained, cache_dir=options.cache):
            agreed &= result.agree
            verdict = "agree" if result.agree else f"DIFFER by more than {TOLERANCE:g}"
            print(f"  {result.one} and {result.other}: largest difference {result.largest:.1e}: {verdict}", flush=True)
        _draw(trained, digits.test_labels, options)
    reached = min(accuracies) >= GOAL
    worst = f"worst of {len(accuracies)} seeds" if len(accuracies) > 1 else "held-out accuracy"
    print(f"{worst}: {100 * min(accuracies):.2f} % ({'reached' if reached else 'MISSED'}: {100 * GOAL:.0f} %)")
    return reached and agreed


def _summary(trained: Trained) -> str:
    wrong = round((1 - trained.accuracy) * len(trained.log_prob))
    return (
        f"  held out: {100 * trained.accuracy:.2f} % right, {wrong} of {len(trained.log_prob)} wrong; "
        f"{trained.seconds:.0f} s, {trained.compile_seconds:.0f} s of them until the first step was compiled and done"
    )


def _gain(trained: Trained, options: Options) -> str:
    first = seconds_of_first_run(options.cache, options.inner, trained.compile_seconds)
    if first is None:
        return f"  compiled code and plans are kept in {options.cache}: a second run starts faster"
    saved = first - trained.compile_seconds
    return f"  the first run took {first:.0f} s until then; {options.cache} has saved {saved:.0f} s"


def _draw(trained: Trained, labels: np.ndarray, options: Options) -> None:
    name = "" if len(options.seeds) == 1 else f"_seed{trained.seed}"
    curve = options.folder / f"learning_curve{name}.png"
    matrix = options.folder / f"confusion_matrix{name}.png"
    draw_curve(trained.epochs, curve)
    draw_confusion(confusion(trained.log_prob, labels), matrix)
    print(f"  wrote {curve} and {matrix}", flush=True)
