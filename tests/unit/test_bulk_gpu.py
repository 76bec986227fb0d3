"""Bulk work where workers have GPUs: who asks Ray for what, and that the driver needs none."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gemlet.bulk import Model, Settings, on_ray, run
from gemlet.bulk.running import Outcome
from gemlet.bulk.shards import Counts
from gemlet.errors import InputError

pytest.importorskip("torch", reason="PyTorch is not installed")


@pytest.fixture
def model(tiny_checkpoint: Path) -> Model:
    return Model(str(tiny_checkpoint), offline=True, threads=2, device="cuda")


@pytest.fixture
def rows(tmp_path: Path) -> str:
    path = tmp_path / "rows.txt"
    path.write_text("one\ntwo\n")
    return str(path)


class Ray:
    """A cluster that takes orders for workers and makes none."""

    def __init__(self) -> None:
        self.there = {"CPU": 8.0, "GPU": 3.0}
        self.asked: list[dict[str, Any]] = []

    def cluster_resources(self) -> dict[str, float]:
        return self.there

    def remote(self, **options: Any) -> Any:
        self.asked.append(options)
        raise InterruptedError  # as far as the test goes

    def shutdown(self) -> None:
        """Nothing was started."""


@pytest.fixture
def ray(monkeypatch: pytest.MonkeyPatch) -> Ray:
    ray = Ray()
    monkeypatch.setattr(on_ray, "_imported", lambda: ray)
    monkeypatch.setattr(on_ray, "_started", lambda: (ray, True))
    return ray


@pytest.mark.parametrize(("device", "gpus"), [("cuda", 1), ("cpu", 0), ("torch:cpu", 0)])
def test_a_worker_asks_for_the_gpu_that_it_uses(
    device: str, gpus: int, model: Model, rows: str, tmp_path: Path, ray: Ray
) -> None:
    workers = on_ray.ray_workers(replace(model, device=device), 1)
    with pytest.raises(InterruptedError):
        run([rows], str(tmp_path / "out"), Settings(), replace(model, device=device), workers=workers)
    (asked,) = ray.asked
    assert (asked["num_cpus"], asked["num_gpus"]) == (2, gpus)


@pytest.mark.parametrize(("there", "count", "room"), [({"CPU": 8.0}, None, 0), ({"CPU": 8.0, "GPU": 3.0}, 4, 3)])
def test_more_workers_than_gpus_are_refused(
    there: dict[str, float], count: int | None, room: int, model: Model, rows: str, tmp_path: Path, ray: Ray
) -> None:
    ray.there = there
    with pytest.raises(InputError, match=f"threads and a GPU each do not fit, Ray has room for {room}: take fewer"):
        run([rows], str(tmp_path / "out"), Settings(), model, workers=on_ray.ray_workers(model, count))


def test_a_gpu_that_is_named_is_refused(model: Model) -> None:
    with pytest.raises(InputError, match="Ray says which worker has which GPU, device is 'cuda:1': take --device cuda"):
        on_ray.ray_workers(replace(model, device="cuda:1"))


def test_the_driver_plans_without_a_gpu_for_workers_that_have_them(model: Model, rows: str, tmp_path: Path) -> None:
    plans = []

    class Workers:
        def make(self, take: Any, meter: Any) -> Iterator[Any]:
            while one := take():
                yield one[0], Outcome(Counts(rows=2, vectors=2))

        def close(self) -> None:
            """There is nothing to end."""

    def workers(plan: Any, shards: int) -> Workers:
        plans.append(plan)
        return Workers()

    run([rows], str(tmp_path / "out"), Settings(), model, workers=workers)
    (plan,) = plans
    assert (plan.job.made["device"], plan.job.made["quantization"]) == ("gpu", "bf16")
