"""The pool, its users, and what happens to all of its clones at once: tables pool, users and storms of a scenario."""

from __future__ import annotations

import datetime as dt
import zoneinfo
from typing import Any, ClassVar

from pydantic import Field, ValidationInfo, field_validator

from clonesim.errors import ParameterError, nearest
from clonesim.scenario.fields import Section, cited, day

LONGEST_NAME = 64
LONGEST_STREAM = 128


def _unset(value: object) -> bool:
    return not value


class Pool(Section):
    """The clones of one scenario, and for how long they are watched.

    Attributes
    ----------
    name : str
        Appears in tables and charts.
    clones : int
        Linked clones. [1]
    days : int
        Days simulated, from the midnight that starts `start`. [d]
    start : date
        First day, in the pool's time zone.
    time_zone : str
        IANA name. Times of day, weekends and holidays are the pool's; changes of summer time are not modeled.
    stream : str
        What is drawn for this pool's own users, clones, hosts and locks; pools with the same seed and different streams
        share patches and definitions, but no users. An estate sets it. Empty: as the seed says.
    patches_from : date or None
        Any day of the month that the sizes of monthly patches are counted from, so that pools of an estate that install
        them with other delays agree on each month's size. Not set: the first month whose patches this pool installs.
    """

    table: ClassVar[str] = "pool"
    name: str = "desktops"
    clones: int = cited("scenario:pool.clones")
    days: int = cited("scenario:pool.days")
    start: dt.date = dt.date(2026, 1, 5)
    time_zone: str = "UTC"
    stream: str = Field(default="", exclude_if=_unset)  # left out of what is written where a pool stands alone
    patches_from: dt.date | None = Field(default=None, exclude_if=_unset)

    @field_validator("name", mode="before")
    @classmethod
    def _short_name(cls, value: Any) -> str:
        if not isinstance(value, str) or not value.strip() or not value.isprintable() or len(value) > LONGEST_NAME:
            raise ParameterError("pool.name", value, f"a name of 1 to {LONGEST_NAME} printable characters is needed")
        return value

    @field_validator("stream", mode="before")
    @classmethod
    def _short_stream(cls, value: Any) -> str:
        if not isinstance(value, str) or not value.isprintable() or len(value) > LONGEST_STREAM:
            allowed = f"a text of at most {LONGEST_STREAM} printable characters is needed"
            raise ParameterError("pool.stream", value, allowed, "Write the pool's name, or leave it out.")
        return value

    @field_validator("patches_from", mode="before")
    @classmethod
    def _one_month(cls, value: Any) -> dt.date | None:
        return None if value is None else day(value, "pool.patches_from")

    @field_validator("start", mode="before")
    @classmethod
    def _first_day(cls, value: Any) -> dt.date:
        return day(value, "pool.start")

    @field_validator("time_zone", mode="before")
    @classmethod
    def _known_zone(cls, value: Any) -> str:
        try:
            zoneinfo.ZoneInfo(value)
        except (zoneinfo.ZoneInfoNotFoundError, ValueError, TypeError, OSError):
            near = nearest(value, zoneinfo.available_timezones()) if "/" in str(value) else ""
            remedy = near or "Write 'UTC' if it does not matter."
            allowed = "an IANA time zone such as 'Europe/Berlin' is needed"
            raise ParameterError("pool.time_zone", value, allowed, remedy) from None
        return str(value)


class ZoneShare(Section):
    """Users who live in another time zone.

    Attributes
    ----------
    offset_h : float
        Their clock minus the pool's. [h]
    share : float
        Share of the users. [1]
    """

    table: ClassVar[str] = "users.time_zones"
    offset_h: float = cited("users:zone_offset")
    share: float = cited("users:zone_share")


class Users(Section):
    """Who uses the clones, and when.

    Attributes
    ----------
    count : int
        Users; as many as seats (`pool.clones` x `users_per_clone`) unless given, none for the workload idle. [1]
    assignment : str
        "dedicated" users own a clone; "floating" users get a free one at each logon.
    peak_concurrency : float
        Most users logged on at a time, as a share of all. [1]
    session_mean : float
        Mean length of time logged on (exponential). [s]
    users_per_clone : int
        More than one on multi-session hosts. [1]
    intensity_sigma : float
        Sigma of the lognormal of users' intensities, whose mean is 1. [1]
    absence : float
        Probability that a user stays away on a working day. [1]
    weekend : float
        Probability that a user works on a day of the weekend or a holiday. [1]
    holidays : tuple of date
        Days that are like weekends.
    time_zones : tuple of ZoneShare
        Where users live; empty: all in the pool's time zone.
    logon_at : float
        Mean time of day of logons, by the user's own clock. [s]
    logon_spread : float
        Standard deviation of the time of logons. [s]
    """

    table: ClassVar[str] = "users"
    count: int = cited("users:count", optional=True)
    assignment: str = cited("users:assignment")
    peak_concurrency: float = cited("users:peak_concurrency")
    session_mean: float = cited("users:session_mean")
    users_per_clone: int = cited("users:users_per_clone")
    intensity_sigma: float = cited("users:intensity_sigma")
    absence: float = cited("users:absence")
    weekend: float = cited("users:weekend")
    logon_at: float = cited("users:logon_at")
    logon_spread: float = cited("users:logon_spread")
    holidays: tuple[dt.date, ...] = ()
    time_zones: tuple[ZoneShare, ...] = ()

    @field_validator("holidays", mode="before")
    @classmethod
    def _days(cls, value: Any) -> tuple[dt.date, ...]:
        return _dates(value, "users.holidays", "2026-12-25")

    @field_validator("time_zones", mode="before")
    @classmethod
    def _zones(cls, value: Any) -> tuple[Any, ...]:
        if not isinstance(value, (list, tuple)):
            allowed = "a list of tables with offset_h and share is needed"
            raise ParameterError("users.time_zones", value, allowed, "Write [{offset_h = -6, share = 0.2}].")
        return tuple(value)


class Storms(Section):
    """What happens to the whole pool at once. Windows are the time that the clones' shares are spread over.

    Attributes
    ----------
    reboot : str
        When clones are restarted: "never", "daily", "weekly" or "patches" (after the monthly patches only).
    reboot_at : float
        Time of day of daily and weekly restarts. [s]
    boot_window : float
        Time that the pool's restarts are spread over. [s]
    definitions_window : float
        Time from a push of antivirus definitions to the last clone that took it. [s]
    patch_day : str
        Rule for the day of the monthly patches, such as "second-tuesday"; "never".
    patch_delay : int
        Days from that day to the installation. [d]
    patch_at : float
        Time of day at which the installation of patches starts. [s]
    patch_window : float
        Time that the clones' installations are spread over. [s]
    av_full : str
        How often antivirus scans everything: "never", "weekly", "monthly".
    av_full_at : float
        Time of day of full scans. [s]
    av_full_window : float
        Time that the clones' full scans are spread over. [s]
    definitions_weekday : int
        Pushes of antivirus definitions on a weekday. [1/d]
    definitions_weekend : int
        Pushes of antivirus definitions on a day of the weekend. [1/d]
    definitions_size : int
        Full set of definitions on the clone's disk. [B]
    patch_factor : float
        Factor on the sizes of patches and feature updates, which the catalog tells by OS. [1]
    patch_spread : float
        Sigma of the lognormal of the months' patch sizes. [1]
    restart : str
        How those storms restart a clone: "guest" (inside) or "power-cycle" (by the hypervisor, which takes locks and a
        place among the power operations).
    host_failure_at, maintenance_at : float
        Time of day at which a host fails, and at which the maintenance of the hosts starts. [s]
    feature_update : date or None
        Day of a service pack or feature update, if there is one.
    host_failures : tuple of date
        Days on each of which one host fails.
    maintenance : tuple of date
        Days on which all hosts are emptied and restarted, one after the other.
    """

    table: ClassVar[str] = "storms"
    reboot: str = cited("storms:reboot")
    reboot_at: float = cited("storms:reboot_at")
    boot_window: float = cited("storms:boot_window")
    definitions_window: float = cited("storms:definitions_window")
    patch_day: str = cited("storms:patch_day")
    patch_delay: int = cited("storms:patch_delay")
    patch_at: float = cited("storms:patch_at")
    patch_window: float = cited("storms:patch_window")
    av_full: str = cited("storms:av_full")
    av_full_at: float = cited("storms:av_full_at")
    av_full_window: float = cited("storms:av_full_window")
    definitions_weekday: int = cited("storms:definitions_weekday")
    definitions_weekend: int = cited("storms:definitions_weekend")
    definitions_size: int = cited("storms:definitions_size")
    patch_factor: float = cited("storms:patch_factor")
    patch_spread: float = cited("storms:patch_spread")
    restart: str = cited("operations:restart")
    host_failure_at: float = cited("operations:host_failure_at")
    maintenance_at: float = cited("operations:maintenance_at")
    feature_update: dt.date | None = None
    host_failures: tuple[dt.date, ...] = ()
    maintenance: tuple[dt.date, ...] = ()

    @field_validator("host_failures", "maintenance", mode="before")
    @classmethod
    def _days(cls, value: Any, info: ValidationInfo) -> tuple[dt.date, ...]:
        return _dates(value, f"storms.{info.field_name}", "2026-02-16")

    @field_validator("feature_update", mode="before")
    @classmethod
    def _one_day(cls, value: Any) -> dt.date | None:
        return None if value is None else day(value, "storms.feature_update")


def _dates(value: Any, path: str, example: str) -> tuple[dt.date, ...]:
    """Days in order, each once."""
    if not isinstance(value, (list, tuple)):
        raise ParameterError(path, value, "a list of dates is needed", f"Write ['{example}'].")
    return tuple(sorted({day(one, f"{path}[{n}]") for n, one in enumerate(value)}))
