"""Write a stage and run it over the test pattern: docs/add-a-stage.md explains each line."""

from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from realtime.core.frame import Frame
from realtime.core.graph import Graph
from realtime.core.lane import Lanes
from realtime.core.nodes import Node
from realtime.core.stage import Emitted, Live, StageContext, StageSpec
from realtime.sources.pattern import PatternSource


class InvertConfig(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    amount: Annotated[float, Live()] = Field(1.0, ge=0, le=1, description="0 keeps it, 1 inverts it.")


class InvertStage:
    spec = StageSpec(
        "invert", takes=Frame, gives=Frame, config=InvertConfig, lane="see", says="Invert colours."
    )

    def open(self, ctx: StageContext) -> None: ...

    def configure(self, config: InvertConfig) -> None:
        self.amount = config.amount

    def process(self, item: Frame | None) -> Sequence[Emitted]:
        if item is None:
            return []  # nothing is ever in flight here
        mixed: Any = item.pixels + (255 - 2.0 * item.pixels) * self.amount
        return [Emitted(item.stamp, Frame(item.stamp, mixed.astype("uint8")))]

    def reset(self) -> None: ...

    def close(self) -> None: ...


def main(count: int = 30) -> list[int]:
    """Invert `count` pictures of the pattern; return their numbers."""
    lanes = Lanes()
    graph = Graph([Node("invert", InvertStage(), InvertStage.spec, InvertConfig())], live=False)
    inverted = graph.subscribe("invert", capacity=count)
    graph.open(lanes, StageContext())
    source = PatternSource(320, 240, paced=False, count=count)
    source.start(lambda frame: graph.put("video", frame))
    numbers = [inverted.get(timeout_s=10).stamp.seq for _ in range(count)]
    source.stop()
    graph.close()
    lanes.close()
    return numbers


if __name__ == "__main__":
    print(f"inverted pictures {main()}")
