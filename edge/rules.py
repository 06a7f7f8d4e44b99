"""The part of the configuration that says where to watch, when a plume becomes a leak, and how a leak is announced."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, field_serializer, model_validator

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]  # one level of an MQTT topic
Seconds = Annotated[float, Field(ge=0, le=86_400, allow_inf_nan=False)]
Interval = Annotated[float, Field(gt=0, le=86_400, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]

Model = TypeVar("Model", bound=BaseModel)
LEAST_ZONE = 1e-6  # share of the view below which a polygon encloses nothing


class Strict(BaseModel):
    """What a person wrote: unknown keys are mistakes."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class PrioritySettings(Strict):
    """The plume's size sets the priority, its growth and its persistence raise it by one step each."""

    medium_area_share: Share = 0.005  # part of the view from which a leak is no longer of low priority
    high_area_share: Share = 0.02
    critical_area_share: Share = 0.08
    growth: Annotated[float, Field(gt=1, le=1000, allow_inf_nan=False)] | None = 1.5  # times the last minute's mean
    persistent_s: Interval | None = 600.0  # a leak that stands for this long

    @model_validator(mode="after")
    def _ordered(self) -> PrioritySettings:
        if not self.medium_area_share <= self.high_area_share <= self.critical_area_share:
            raise ValueError("medium_area_share, high_area_share and critical_area_share must not fall")
        return self


class AlarmSettings(Strict):
    """When a plume becomes a leak, and when the leak is over. Every published figure is made with the defaults."""

    on_delay_s: Interval = 3.0  # a leak is raised when a plume has been seen for this long…
    persistence: Annotated[float, Field(gt=0, le=1, allow_inf_nan=False)] = 0.9  # …in this share of the frames…
    min_overlap: Share = 0.3  # …in one place: boxes share this part of the smaller one
    min_area_share: Share = 0.0005  # a plume smaller than this part of the view does not count
    min_confidence: Share = 0.76  # a plume whose pixels' mean probability is less raises no leak
    # a plume must be so many times as lively as the rest of the view: a ghost or a halo stands still, 1; 0: no matter
    min_flicker: Annotated[float, Field(ge=0, le=100, allow_inf_nan=False)] = 1.6
    area_deadband: Share = 0.0  # an open leak is kept by a plume that is smaller by this share of the least area
    confidence_deadband: Share = 1.0  # or less certain by this share of the least confidence; 1: however doubtful
    off_delay_s: Seconds = 5.0  # a leak is over when no plume has been seen for this long
    update_every_s: Interval = 1.0  # between the updates of an open event
    latching: bool = False  # an alarm stays after its leak until an operator resets it
    realarm_after_s: Interval | None = None  # a leak that stands this long after its acknowledgement asks again
    shelve_limit_s: Interval = 28_800.0  # longest time that an operator may shelve the alarm for
    priority: PrioritySettings = PrioritySettings()


class ZoneSettings(Strict):
    """A polygon of a camera's view. Without a zone to watch, the whole view is watched."""

    name: Name
    kind: Literal["watch", "exclude"] = "watch"  # exclude: what is seen there is no gas, for no zone
    polygon: Annotated[tuple[tuple[Share, Share], ...], Field(min_length=3, max_length=100)]  # x, y: shares of the view
    alarm: AlarmSettings = AlarmSettings()  # the keys that differ from the device's `alarm`; watch only

    @model_validator(mode="after")
    def _sensible(self) -> ZoneSettings:
        following = (*self.polygon[1:], self.polygon[0])
        twice = sum(x * v - u * y for (x, y), (u, v) in zip(self.polygon, following, strict=True))
        if abs(twice) < 2 * LEAST_ZONE:
            raise ValueError("the polygon encloses nothing; give its corners in order around it")
        if self.kind == "exclude" and self.alarm.model_fields_set:
            raise ValueError("alarm: nothing is watched in a zone that is excluded")
        return self

    @field_serializer("alarm")
    def _only_what_differs(self, alarm: AlarmSettings) -> dict[str, Any]:
        return alarm.model_dump(exclude_unset=True)

    def settings(self, common: AlarmSettings) -> AlarmSettings:
        """The settings of this zone, where those of the device are `common`."""
        return _overlaid(common, self.alarm)


def _overlaid(common: Model, own: BaseModel) -> Model:
    """`common` with every key that `own` was given, key by key within keys."""
    changes = {}
    for key in own.model_fields_set:
        value = getattr(own, key)
        changes[key] = _overlaid(getattr(common, key), value) if isinstance(value, BaseModel) else value
    return common.model_copy(update=changes)
