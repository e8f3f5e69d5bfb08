"""Wall clocks that are set while a process runs.

Steps of minutes must do no harm to anybody. A gateway whose clock is a day ahead takes every token for expired and says so
(token_expired): that is no fault to survive but one to see, so such steps are for workers only, which judge by the broker's
time.
"""

from kinds.kind import Kind, register

MINUTES = (-300, -30, 30, 300)
DAY = 86_400


class StepClock(Kind):
    needs = ("clock",)
    hold = (3.0, 15.0)
    loud = "doctor: clock_skew"

    def targets(self, world):
        return [process.name for process in self.group(world)]

    def touches(self, world, target):
        return {f"clock-{target}"}

    def begin(self, world, target, rng):
        step = rng.choice(self.steps)
        world.clocks[target].set(step)
        return {"step_s": step}

    def end(self, world, target):
        world.clocks[target].set(0)


@register
class StepGatewayClock(StepClock):
    name, steps = "step_gateway_clock", MINUTES

    def group(self, world):
        return world.gateways


@register
class StepWorkerClock(StepClock):
    name, steps = "step_worker_clock", (-DAY, *MINUTES, DAY)

    def group(self, world):
        return world.workers
