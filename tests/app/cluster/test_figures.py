"""The texts of several processes for Prometheus, put together as one."""

from __future__ import annotations

from app.cluster.figures import merged

ONE = '# HELP a_total Of a.\n# TYPE a_total counter\na_total 1\n# TYPE b gauge\nb{x="1"} 2\nb{x="2"} 3\n'
TWO = "# HELP a_total Of a.\n# TYPE a_total counter\na_total 5\n"


def test_each_line_names_its_worker_and_each_figure_stands_together_under_one_head() -> None:
    assert merged({"": "front 7\n", "w0": ONE, "w1": TWO}).splitlines() == [
        "front 7",
        "# HELP a_total Of a.",
        "# TYPE a_total counter",
        'a_total{worker="w0"} 1',
        'a_total{worker="w1"} 5',
        "# TYPE b gauge",
        'b{worker="w0",x="1"} 2',
        'b{worker="w0",x="2"} 3',
    ]
