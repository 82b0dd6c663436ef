"""The stage learning: compute ``metrics/learning.json`` and the loss surfaces from the study's artefacts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from statistics import stdev
from typing import Any

from tqdm import tqdm

from peftir.learning import convergence
from peftir.learning.objective import Objective, objectives
from peftir.learning.records import TrainingRun, read_runs, write_curves
from peftir.learning.sharpness import largest_eigenvalue
from peftir.learning.surface import barrier, curvature, loss_path, loss_surface, roughness
from peftir.study import layout
from peftir.study.params import LearningParams, Params
from peftir.study.seeds import Seed, draw, of_first_fold
from peftir.study.tasks import TASKS, StageName
from peftir.system.files import write_json
from peftir.training.determinism import seed_everything


def analyse(root: Path, params: Params) -> None:
    """Write every trained variant's convergence, and the loss around the models of the first seeds.

    Raises:
        PeftirError: an artefact of training is missing or damaged.
    """
    seed_everything(params.learning.seed)
    learning: dict[str, Any] = {"targets": {}}
    surfaces: dict[str, Any] = {"span": params.learning.span, "points": params.learning.points}
    for stage in (task.stage for task in TASKS):
        runs = read_runs(root, params, stage)
        write_curves(root / layout.learning_curves(stage), runs, params.seeds.at(stage))
        target = _target(runs)
        learning["targets"][stage] = asdict(target) if target else None
        learning[stage] = {variant: _convergence(records, target) for variant, records in runs.items()}
        surfaces[stage] = {}
        for variant, loss, figures in _surfaces(root, params, stage, list(runs)):
            learning[stage][variant] |= figures
            surfaces[stage][variant] = loss
    write_json(root / layout.LEARNING, _rounded(learning))
    write_json(root / layout.SURFACES, _rounded(surfaces))


def _target(runs: dict[str, list[TrainingRun]]) -> convergence.Target | None:
    """The target set by full fine-tuning; ``None`` if it is not among the variants."""
    full = next((records for records in runs.values() if records[0].type == "full"), None)
    return convergence.Target.of([run.dev for run in full]) if full else None


def _convergence(runs: list[TrainingRun], target: convergence.Target | None) -> dict[str, Any]:
    """Convergence and stability of one variant; lists have one value per model, ``None`` if never reached."""
    best = [float(run.dev.max()) for run in runs]
    levels = {
        f"{share:.2f}": (target.share_of_gain(share), target.share_of_best(share)) if target else (None, None)
        for share in convergence.SHARES
    }
    return {
        "steps_to": {
            share: [convergence.first_step_at(run.dev, gain) for run in runs]
            for share, (gain, _) in levels.items()
        },
        "seconds_to": {
            share: [run.seconds_at(convergence.first_step_at(run.dev, gain)) for run in runs]
            for share, (gain, _) in levels.items()
        },
        "steps_to_share_of_best": {
            share: [convergence.first_step_at(run.dev, of_best) for run in runs]
            for share, (_, of_best) in levels.items()
        },
        "auc": [convergence.area_under_curve(run.dev) for run in runs],
        "oscillation": [convergence.total_increase(run.loss) for run in runs],
        "dev_oscillation": [convergence.total_decrease(run.dev) for run in runs],
        "best_dev": best,
        "final_dev": [float(run.dev.iloc[-1]) for run in runs],
        "best_dev_sd": stdev(best) if len(best) > 1 else None,
        "failed_seeds": sum(convergence.failed(run.dev) for run in runs),
        "seconds_per_step": [run.seconds_per_step for run in runs],
        "peak_memory_mb": [run.peak_memory_mb for run in runs],
        "stored_bytes": [run.stored_bytes for run in runs],
    }


def _surfaces(
    root: Path, params: Params, stage: StageName, variants: list[str]
) -> Iterator[tuple[str, dict[str, Any], dict[str, Any]]]:
    """Yield each variant with its losses around the first seeds' models, and the figures computed from them.

    In a cross-validation these are the models of fold 1, which all trained on the same queries. Lists in the
    figures have one value per model, ``None`` for models that are not analysed.
    """
    settings, models = params.learning, params.seeds.at(stage)
    seeds = of_first_fold(models)
    analysed = seeds[: settings.seeds]
    objective_of = objectives(root, params, stage, draw(seeds[0]).fold) if analysed else None
    for variant in tqdm(variants, desc=f"loss around each {stage}", unit="variant"):
        grids: dict[str, Any] = {}
        path: dict[str, Any] | None = None
        found: dict[str, dict[Seed, float]] = {name: {} for name in ("sharpness", "curvature", "roughness")}
        for seed in analysed:
            assert objective_of is not None
            objective = objective_of(variant, seed)
            if seed == seeds[0] and len(seeds) > 1:
                path = _path_between(objective, objective_of(variant, seeds[1]), seeds[:2], settings)
            grid = loss_surface(
                objective.weights,
                objective.vectors,
                objective.loss,
                span=settings.span,
                points=settings.points,
                seed=settings.seed,
            )
            grids[str(seed)] = grid.tolist()
            found["sharpness"][seed] = largest_eigenvalue(
                objective.weights, objective.loss, iterations=settings.iterations, seed=settings.seed
            )
            found["curvature"][seed] = curvature(grid, settings.span)
            found["roughness"][seed] = roughness(grid)
        figures: dict[str, Any] = {
            name: [values.get(model) for model in models] for name, values in found.items()
        }
        figures["barrier"] = path["barrier"] if path else None
        yield variant, {"loss": grids, "path": path}, figures


def _path_between(
    start: Objective, end: Objective, seeds: list[Seed], settings: LearningParams
) -> dict[str, Any]:
    """The loss on the straight line between two seeds' models."""
    losses = loss_path(start.weights, start.loss, end.weights, settings.points)
    return {"seeds": seeds, "loss": losses.tolist(), "barrier": barrier(losses)}


def _rounded(content: Any) -> Any:
    """``content`` with floats rounded to four significant digits."""
    if isinstance(content, dict):
        return {key: _rounded(value) for key, value in content.items()}
    if isinstance(content, list):
        return [_rounded(value) for value in content]
    return float(f"{content:.4g}") if isinstance(content, float) else content
