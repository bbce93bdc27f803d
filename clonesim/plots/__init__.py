"""Frames in, matplotlib Axes out. Each function draws into the axes it is given, shows nothing and saves nothing.

Colours are those of Okabe and Ito, which people with any colour vision tell apart; lines also differ in shape. What a
chart assumes stands below it, from `frame.attrs["caption"]`.
"""

from clonesim.plots.calibration import plot_calibration, plot_ranks, plot_weeks, save_calibration
from clonesim.plots.chart import save_chart, save_figure
from clonesim.plots.clusters import draw_clusters, plot_clusters, save_clusters
from clonesim.plots.days import plot_latency_days, plot_load, plot_lock_days
from clonesim.plots.describe import describe
from clonesim.plots.forecast import (
    plot_backtest,
    plot_fill_date,
    plot_forecast,
    save_backtest,
    save_forecast,
)
from clonesim.plots.growth import plot_band, plot_growth_fan, plot_written
from clonesim.plots.hosts import plot_hosts, save_hosts
from clonesim.plots.locks import (
    draw_lock_map,
    plot_lock_panel,
    plot_lock_sensitivity,
    save_lock_charts,
)
from clonesim.plots.plans import (
    plot_density,
    plot_rules,
    plot_size,
    plot_swings,
    save_density,
    save_size,
)
from clonesim.plots.pool import (
    plot_fill,
    plot_increments_map,
    plot_sources,
    save_pool_charts,
    save_run_pool,
)
from clonesim.plots.probe import plot_probe, save_probe
from clonesim.plots.sensitivity import plot_sensitivity, plot_shares, save_sensitivity
from clonesim.plots.storm import plot_storm
from clonesim.plots.strategies import plot_strategies
from clonesim.plots.tiers import plot_tiers, save_comparison
from clonesim.plots.traces import (
    plot_increments,
    plot_lock_waits,
    plot_policies,
    plot_replay,
    plot_trace_growth,
    save_run_charts,
)

__all__ = [
    "describe",
    "draw_clusters",
    "draw_lock_map",
    "plot_backtest",
    "plot_band",
    "plot_calibration",
    "plot_clusters",
    "plot_density",
    "plot_fill",
    "plot_fill_date",
    "plot_forecast",
    "plot_growth_fan",
    "plot_hosts",
    "plot_increments",
    "plot_increments_map",
    "plot_latency_days",
    "plot_load",
    "plot_lock_days",
    "plot_lock_panel",
    "plot_lock_sensitivity",
    "plot_lock_waits",
    "plot_policies",
    "plot_probe",
    "plot_ranks",
    "plot_replay",
    "plot_rules",
    "plot_sensitivity",
    "plot_shares",
    "plot_size",
    "plot_sources",
    "plot_storm",
    "plot_strategies",
    "plot_swings",
    "plot_tiers",
    "plot_trace_growth",
    "plot_weeks",
    "plot_written",
    "save_backtest",
    "save_calibration",
    "save_chart",
    "save_clusters",
    "save_comparison",
    "save_density",
    "save_figure",
    "save_forecast",
    "save_hosts",
    "save_lock_charts",
    "save_pool_charts",
    "save_probe",
    "save_run_charts",
    "save_run_pool",
    "save_sensitivity",
    "save_size",
]
