"""A short simulation: two nodes, rolled and killed, behind a balancer that cuts quiet streams; nothing is violated."""

from pathlib import Path

from benchmarks.cluster.balancer import Faults
from benchmarks.cluster.simulation import Settings, simulate


async def test_nothing_is_lost_or_doubled_while_nodes_are_rolled_and_killed(tmp_path: Path) -> None:
    settings = Settings(
        nodes=2,
        sessions=8,
        modern=4,
        squares=4,
        tasks=4,
        task_seconds=1.0,
        seconds=5.0,
        rate=10.0,
        kinds=("roll", "kill"),
        every=0.5,
        lease=3.0,
        faults=Faults(holds_heads=True, idle_seconds=4.0),
        seed=1,
    )
    report = await simulate(settings, tmp_path)
    assert report.violations == [], (tmp_path / "nodes.log").read_text()
    assert len(report.ledger.calls) > 20
    assert any(task.status == "completed" for task in report.tasks.tasks)
